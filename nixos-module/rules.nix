# Rules from the configurations of a flake: which host and which person may read which file.
#
#   secretctl = inputs.secretctl.lib.rules self;
#
# Pure: values in, values out. Reads what each of `nixosConfigurations.*` declares under
# `secretctl`, `age`, `sops` and `secrix`, as far as these exist there; paths come out relative
# to the flake. Users and master keys are joined over all hosts.
self:
let
  inherit (builtins)
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    isList
    isPath
    length
    listToAttrs
    map
    mapAttrs
    match
    readFile
    replaceStrings
    split
    substring
    unsafeDiscardStringContext
    ;

  configurations = mapAttrs (_: c: c.config) (self.nixosConfigurations or { });
  perHost = f: concatLists (attrValues (mapAttrs f configurations));

  unique = foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
  toList = x: if isList x then x else [ x ];
  keyText = key: if isPath key then readFile key else key;
  # Groups a list of { name; value; } by name, each value a list of its own.
  gather =
    pairs: mapAttrs (_: ps: unique (concatMap (p: p.value) ps)) (builtins.groupBy (p: p.name) pairs);

  # agenix-rekey gives every host this key until it gets a real one.
  isPlaceholder = key: substring 0 14 key == "age1qyqszqgpqy";

  # The public key of a host, from whichever module declares it; null where none does.
  publicKey =
    config:
    let
      found = filter (key: key != null && !(isPlaceholder key)) (
        map (key: if key == null then null else keyText key) [
          (config.secretctl.hostPublicKey or null)
          (config.secrix.hostPubKey or null)
          (config.age.rekey.hostPubkey or null)
        ]
      );
    in
    if found == [ ] then null else builtins.head found;

  users =
    attrs:
    map (name: {
      inherit name;
      value = map keyText (toList attrs.${name});
    }) (attrNames attrs);

  masters =
    config:
    users (config.secretctl.defaultEncryptKeys or { })
    ++ users (config.secrix.defaultEncryptKeys or { });

  # Every secret that a host declares: { file; users; }, `users` being those that it names beside
  # the master keys.
  declared =
    config:
    let
      from =
        file: set:
        concatMap (
          secret:
          let
            path = file secret;
          in
          if path == null then
            [ ]
          else
            [
              {
                file = path;
                users = users (secret.encryptKeys or { });
              }
            ]
        ) (attrValues set);
      inServices = file: services: concatMap (service: from file (service.secrets or { })) (attrValues services);
      plain = secret: secret.file or null;
      encrypted = secret: secret.encrypted.file or null;
      # what only other secrets are made of is not for the host
      rekeyed =
        secret:
        if secret.intermediary or false then
          null
        else if secret.rekeyFile or null != null then
          secret.rekeyFile
        else
          plain secret;
      # the compatible faces say everything twice, and are read below as they were written
      native =
        secret:
        if match "secretctl[.].*" (secret.declaredAs or "secretctl.") != null then plain secret else null;
    in
    from native (config.secretctl.secrets or { })
    ++ inServices plain (config.secretctl.services or { })
    ++ from rekeyed (config.age.secrets or { })
    ++ from (secret: secret.sopsFile or null) (config.sops.secrets or { })
    ++ from encrypted (config.secrix.system.secrets or { })
    ++ inServices encrypted (config.secrix.services or { });

  # Found inside of the text, not only at its beginning: a path of a store that lies elsewhere
  # begins with the place of that store.
  root = replaceStrings [ "." "+" "?" ] [ "[.]" "[+]" "[?]" ] (
    unsafeDiscardStringContext (toString self.outPath) + "/"
  );
  relative =
    file:
    let
      parts = split root (unsafeDiscardStringContext (toString file));
    in
    if length parts == 3 then elemAt parts 2 else null;

  secrets = perHost (
    host: config:
    map (secret: {
      inherit host;
      inherit (secret) users;
      path = relative secret.file;
      text = unsafeDiscardStringContext (toString secret.file);
    }) (declared config)
  );
  inside = filter (secret: secret.path != null) secrets;
  hostsWithSecrets = unique (map (secret: secret.host) inside);
  keys = mapAttrs (_: publicKey) configurations;
  keyless = filter (host: keys.${host} == null) hostsWithSecrets;
in
if keyless != [ ] then
  throw (
    "secretctl: no public key is known of ${concatStringsSep ", " keyless}, which "
    + "declare secrets: set `secretctl.hostPublicKey` (or `secrix.hostPubKey`, "
    + "`age.rekey.hostPubkey`) to the line of /etc/ssh/ssh_host_ed25519_key.pub there"
  )
else
  {
    version = 1;
    users = gather (
      perHost (_: masters) ++ concatMap (secret: secret.users) inside
    );
    hosts = listToAttrs (
      map (name: {
        inherit name;
        value = keys.${name};
      }) (filter (host: keys.${host} != null) (attrNames keys))
    );
    defaultEncryptKeys = unique (map (user: user.name) (perHost (_: masters)));
    secrets = mapAttrs (_: readers: { inherit readers; }) (
      gather (
        map (secret: {
          name = secret.path;
          value = [ secret.host ] ++ map (user: user.name) secret.users;
        }) inside
      )
    );
    # Files that do not lie in this flake: nothing here can re-encrypt them.
    outside = unique (map (secret: "${secret.host}: ${secret.text}") (filter (s: s.path == null) secrets));
  }
