//! Kinds of secrets that are known by their shape alone.

/// What a shape is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShapeKind {
    /// A private key in PEM whose structure is right.
    PemPrivateKey,
    /// A private key in PEM, encrypted.
    PemEncryptedKey,
    /// A private key of OpenSSH.
    OpensshKey,
    /// A private key of OpenSSH, encrypted.
    OpensshEncryptedKey,
    /// A private key of `PuTTY`.
    PuttyKey,
    /// A private key of `OpenPGP`.
    PgpKey,
    /// An age identity.
    AgeIdentity,
    /// A post-quantum age identity.
    AgeHybridIdentity,
    /// An identity of an age plugin.
    AgePluginIdentity,
    /// A private or preshared key of `WireGuard`.
    WireguardKey,
    /// A token of `GitHub`.
    GithubToken,
    /// A token of `GitLab`.
    GitlabToken,
    /// A token of Slack.
    SlackToken,
    /// A live key of Stripe.
    StripeKey,
    /// An access key of AWS, with or without the secret beside it.
    AwsKey,
    /// A JSON Web Token.
    Jwt,
    /// A hash of a password, as in `/etc/shadow`.
    PasswordHash,
}

/// How sure and how bad a shape is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Of use to nobody without more: an encrypted key, a hash.
    Low,
    /// A secret in the open.
    High,
}
