//! Key services, as they are asked and as they answer: AWS KMS as moto has it and the transit engine
//! of `OpenBao`, with the real sops both ways; the others by servers that check the exact request;
//! the sources of credentials, at the very addresses of the clouds; and servers that mean harm.
//!
//! `SECRETCTL_TEST_MOTO` names `moto_server`, `SECRETCTL_TEST_BAO` the program `bao`.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "tests run programs and may panic"
)]

mod desk;

#[path = "services/aws.rs"]
mod aws;
#[path = "services/azure.rs"]
mod azure;
#[path = "services/bench.rs"]
mod bench;
#[path = "services/certificate.rs"]
mod certificate;
#[path = "services/cloud.rs"]
mod cloud;
#[path = "services/commands.rs"]
mod commands;
#[path = "services/credentials.rs"]
mod credentials;
#[path = "services/federation.rs"]
mod federation;
#[path = "services/gcp.rs"]
mod gcp;
#[path = "services/hostile.rs"]
mod hostile;
#[path = "services/huawei.rs"]
mod huawei;
#[path = "services/machine.rs"]
mod machine;
#[path = "services/refusals.rs"]
mod refusals;
#[path = "services/server.rs"]
mod server;
#[path = "services/tenants.rs"]
mod tenants;
#[path = "services/tls.rs"]
mod tls;
#[path = "services/vault.rs"]
mod vault;
