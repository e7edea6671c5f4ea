# What must hold of the options together. Each message names the option, its value and what to do, and
# all that fail are told at once.
{ lib, config, ... }@args:
let
  inherit (builtins)
    any
    attrNames
    attrValues
    concatMap
    concatStringsSep
    elem
    filter
    groupBy
    head
    isString
    length
    map
    match
    stringLength
    tail
    toJSON
    toString
    ;
  scope = args.secretctlScope or "nixos";
  cfg = config.secretctl;
  base = import ./defaults.nix { inherit lib config scope; };
  sources = import ./sources.nix { inherit lib; };
  lost = import ./boot-file-systems.nix { inherit lib config; };

  problemIf = lib.optional;
  quoted = toJSON;

  secrets = attrValues cfg.secrets;
  templates = attrValues cfg.templates;
  pieces = secrets ++ templates;
  services = lib.filterAttrs (_: service: service.secrets != { }) (cfg.services or { });
  credentials = concatMap (service: attrValues service.secrets) (attrValues services);

  # A path from `/` on or relative, without parts that lead somewhere else.
  isPlain =
    path:
    match ".*[[:cntrl:]].*" path == null
    && !(any (
      part:
      elem part [
        ""
        "."
        ".."
      ]
    ) (lib.splitString "/" path));
  isPlainAbsolute = path: isPlain (lib.removePrefix "/" (lib.removePrefix "%r" path));
  isBelow = folder: path: lib.hasPrefix "${folder}/" path;

  hasStore = piece: cfg.stores ? ${piece.store};
  phaseOf = piece: cfg.stores.${piece.store}.phase or "normal";
  placed = filter hasStore pieces;

  # The folders above a path, itself left out.
  parents =
    path:
    let
      parts = lib.splitString "/" path;
    in
    builtins.genList (n: concatStringsSep "/" (lib.take (n + 1) parts)) (length parts - 1);
  # What cannot be at its place beside another: { same; other; } with one path, { folder; file; } where one is to
  # be a folder of the other.
  clashes =
    pathOf: list:
    let
      at = groupBy pathOf list;
      same = concatMap (
        group:
        map (other: {
          same = head group;
          inherit other;
        }) (tail group)
      ) (attrValues at);
      nested = concatMap (
        file:
        map (folder: {
          folder = head at.${folder};
          inherit file;
        }) (filter (path: at ? ${path}) (parents (pathOf file)))
      ) list;
    in
    same ++ nested;

  ofNames = concatMap (
    piece:
    problemIf (!isPlain piece.name) (
      "`${piece.declaredAs}.name` is ${quoted piece.name}, which is no path below the folder of its store: "
      + "give a relative one without empty parts, `.` and `..`, as \"app/token\""
    )
    ++ problemIf (!hasStore piece) (
      "`${piece.declaredAs}.store` is ${quoted piece.store}, but there is no such store: "
      + "take one of ${lib.concatMapStringsSep ", " quoted (attrNames cfg.stores)}, or declare it in `secretctl.stores`"
    )
  ) pieces;

  ofNamesTogether = map (
    clash:
    if clash ? same then
      "`${clash.same.declaredAs}.name` and `${clash.other.declaredAs}.name` are both ${quoted clash.same.name} in the "
      + "store ${quoted clash.same.store}: give one of them another name"
    else
      "`${clash.folder.declaredAs}.name` is ${quoted clash.folder.name}, which is to be a folder for "
      + "`${clash.file.declaredAs}.name`, ${quoted clash.file.name}: give one of them another name"
  ) (clashes (piece: "${piece.store}:/${piece.name}") pieces);

  pathInStore = piece: "${cfg.stores.${piece.store}.path}/${piece.name}";
  elsewhere = filter (piece: piece.path != pathInStore piece) placed;

  ofPaths =
    concatMap (
      piece:
      problemIf (!isPlainAbsolute piece.path) (
        "`${piece.declaredAs}.path` is ${quoted piece.path}, which has empty parts, `.` or `..` in it: "
        + "give an absolute path without them"
      )
      ++ concatMap (
        store:
        let
          places = filter (folder: piece.path == folder || isBelow folder piece.path) [
            cfg.stores.${store}.path
            cfg.stores.${store}.mountPoint
          ];
        in
        problemIf (places != [ ]) (
          "`${piece.declaredAs}.path` is ${quoted piece.path}, in the folders of the store ${quoted store}, which "
          + "are replaced as a whole: set `name` and `store` to put it there, or take a path elsewhere"
        )
      ) (attrNames cfg.stores)
    ) elsewhere
    ++ map (
      clash:
      if clash ? same then
        "`${clash.same.declaredAs}.path` and `${clash.other.declaredAs}.path` are both ${quoted clash.same.path}: "
        + "give one of them another path"
      else
        "`${clash.folder.declaredAs}.path` is ${quoted clash.folder.path}, which is to be a folder for "
        + "`${clash.file.declaredAs}.path`, ${quoted clash.file.path}: give one of them another path"
    ) (clashes (piece: piece.path) elsewhere)
    ++ concatMap (
      piece:
      problemIf (!piece.symlink && piece.path == pathInStore piece) (
        "`${piece.declaredAs}.symlink` is off, but `path` is ${quoted piece.path}, where it is a file of its own already: "
        + "set `path` to where the copy goes, or leave `symlink` on"
      )
    ) placed;

  # Names of users and groups as the configuration has them.
  isUser = name: any (user: (user.name or "") == name) (attrValues (config.users.users or { }));
  isGroup =
    name:
    (config.users.groups or { }) ? ${name}
    || any (group: (group.name or "") == name) (attrValues (config.users.groups or { }));
  isKnownEarly =
    account:
    !isString account
    || elem account [
      "root"
      "keys"
    ];
  # On macOS, accounts are not all declared.
  ofOwners = lib.optionals (scope == "nixos") (
    concatMap (
      piece:
      problemIf (isString piece.owner && !isUser piece.owner) (
        "`${piece.declaredAs}.owner` is ${quoted piece.owner}, but there is no such user: "
        + "declare `users.users.${piece.owner}`, or give a number"
      )
      ++ problemIf (isString piece.group && !isGroup piece.group) (
        "`${piece.declaredAs}.group` is ${quoted piece.group}, but there is no such group: "
        + "declare `users.groups.${piece.group}`, or give a number"
      )
      ++ problemIf
        (hasStore piece && phaseOf piece == "early" && !(isKnownEarly piece.owner && isKnownEarly piece.group))
        (
          "`${piece.declaredAs}` belongs to ${quoted piece.owner} and the group ${quoted piece.group}, but is installed "
          + "before users exist: leave it to root, give numbers, or use a store whose `phase` is \"both\""
        )
    ) pieces
    ++ concatMap (
      name:
      let
        inherit (cfg.stores.${name}) group;
      in
      problemIf (isString group && !isGroup group) (
        "`secretctl.stores.${name}.group` is ${quoted group}, but there is no such group: "
        + "declare `users.groups.${group}`, or give a number"
      )
    ) (attrNames cfg.stores)
  );

  # A password that is there only after its user was made.
  ofPasswords = lib.optionals (scope == "nixos") (
    concatMap (
      user:
      concatMap (
        piece:
        problemIf (phaseOf piece == "normal") (
          "`users.users.${user.name}.hashedPasswordFile` is the path of `${piece.declaredAs}`, which is installed after "
          + "users were made: set `${piece.declaredAs}.${
            if lib.hasPrefix "sops." piece.declaredAs then "neededForUsers" else "early"
          } = true`"
        )
      ) (filter (piece: user.hashedPasswordFile or null == piece.path) placed)
    ) (attrValues (config.users.users or { }))
  );

  suffixes = "service|socket|device|mount|automount|swap|target|path|timer|slice|scope";
  ofUnits = concatMap (
    piece:
    concatMap
      (
        option:
        concatMap (
          unit:
          problemIf (match ".+[.](${suffixes})" unit == null) (
            "`${piece.declaredAs}.${option}` names ${quoted unit}, which is no name of a unit: "
            + "write its kind too, as ${quoted "${unit}.service"}"
          )
        ) (piece.${option} or [ ])
      )
      [
        "restartUnits"
        "reloadUnits"
      ]
  ) pieces;

  ofServices = concatMap (
    name:
    let
      option = "secretctl.services.${lib.strings.escapeNixIdentifier name}";
      unit = base.serviceUnit name;
      # systemd asks from an address that has room for so much of the two names
      room = 83;
    in
    problemIf (match "[a-zA-Z0-9:_.\\-]+(@[a-zA-Z0-9:_.\\-]*)?" name == null) (
      "`${option}` is no name of a service: take the name of the unit without `.service`"
    )
    ++ concatMap (
      credential:
      problemIf
        (
          match "[a-zA-Z0-9_.-]+" credential == null
          || elem credential [
            "."
            ".."
          ]
        )
        (
          "`${option}.secrets.${quoted credential}` is no name of a credential: "
          + "take letters, digits, `_`, `-` and `.`"
        )
      ++ problemIf (stringLength unit + stringLength credential > room) (
        "`${option}.secrets.${credential}`: ${quoted unit} and ${quoted credential} have more than ${toString room} "
        + "characters together, and systemd could not ask for it: take a shorter name"
      )
    ) (attrNames services.${name}.secrets)
  ) (attrNames services);

  hasKeys =
    secret:
    !(elem secret.format [
      "age"
      "armored"
      "binary"
    ]);
  ofSources = concatMap (
    secret:
    let
      steps = if isString secret.key then lib.splitString "/" secret.key else secret.key;
    in
    problemIf (secret.key != null && !hasKeys secret) (
      "`${secret.declaredAs}.key` is ${quoted secret.key}, but a file in format ${secret.format} holds a single value: "
      + "leave `key` out"
    )
    ++ problemIf (secret.key != null && (steps == [ ] || elem "" steps)) (
      "`${secret.declaredAs}.key` is ${quoted secret.key}, which has empty parts: write the names on the way to the "
      + "value with single `/` between them"
    )
    ++ lib.optionals (cfg.validation.enable && secret.validated or true) (
      problemIf (sources.problem secret != null) (sources.problem secret)
    )
  ) (secrets ++ credentials);

  ofTemplates = concatMap (
    template:
    problemIf ((template.content == null) == (template.file == null)) (
      "`${template.declaredAs}` has ${
        if template.file == null then "neither `content` nor `file`" else "both `content` and `file`"
      }: set one of them"
    )
    ++ lib.optionals (hasStore template && phaseOf template != "normal" && template.content != null) (
      concatMap (
        secret:
        problemIf (phaseOf secret == "normal" && lib.hasInfix "<secretctl:${secret.name}" template.content) (
          "`${template.declaredAs}` is put together before users exist, and uses `${secret.declaredAs}`, which is "
          + "installed after that: set `early` for both, or for none"
        )
      ) (filter hasStore secrets)
    )
  ) templates;

  ofKeys =
    problemIf
      (
        secrets ++ credentials != [ ]
        && cfg.identities == [ ]
        && cfg.gnupg.home == null
        && !cfg.useTestValues
      )
      (
        "`secretctl.identities` is empty, so that no secret can be decrypted: name the private key of this machine, as "
        + "[ \"/etc/ssh/ssh_host_ed25519_key\" ]"
      )
    ++ concatMap (
      path:
      problemIf (!isPlainAbsolute path) (
        "`secretctl.identities` names ${quoted path}, which has empty parts, `.` or `..` in it: "
        + "give an absolute path without them"
      )
    ) cfg.identities
    ++ concatMap (
      package:
      let
        program = base.program package;
      in
      problemIf (!lib.hasPrefix "age-plugin-" program) (
        "`secretctl.plugins` has the package of ${quoted program}, which is no plugin of age: "
        + "their programs are named `age-plugin-…`"
      )
    ) cfg.plugins;

  ofBoot = lib.optionals (scope == "nixos" && any (piece: phaseOf piece != "normal") placed) (
    concatMap (
      path:
      let
        fileSystem = lost path;
      in
      problemIf (fileSystem != null) (
        "the key ${quoted path} is needed for early secrets, but ${quoted fileSystem} is mounted later: "
        + "set `fileSystems.${quoted fileSystem}.neededForBoot = true`"
      )
    ) (cfg.identities ++ problemIf (cfg.gnupg.home != null) cfg.gnupg.home)
  );

  # What only a key service opens comes late, and not for everything.
  ofKeyServices =
    let
      only = secret: (cfg.validation.enable && secret.validated or true) && sources.needsService secret;
      reader = "make this host a reader of it (`secretctl host add`, `secretctl rekey`)";
      about = secret: "`${sources.option secret}` can be opened by key services alone";
    in
    concatMap (
      secret:
      problemIf (only secret && !cfg.keyServices.enable) (
        "${about secret}: set `secretctl.keyServices.enable = true` to have them asked, or ${reader}"
      )
      ++ problemIf (only secret && hasStore secret && phaseOf secret == "early") (
        "${about secret}, and is wanted before there is a network: ${reader}"
      )
    ) secrets
    ++ concatMap (
      secret:
      problemIf (only secret) (
        "${about secret}, which are not asked when a service starts: ${reader}, or install it with `secretctl.secrets`"
      )
    ) credentials
    ++ concatMap (
      name:
      problemIf (cfg.keyServices.environment ? ${name}) (
        "`secretctl.keyServices.environment.${name}` is secret, and would be in the store, where everybody can read it: "
        + "put it into a file of `secretctl.keyServices.environmentFiles`"
      )
    ) sources.secretVariables;

  tooWide = [
    "/"
    "/etc"
    "/home"
    "/nix"
    "/nix/store"
    "/run"
    "/tmp"
    "/usr"
    "/var"
  ];
  ofStores =
    concatMap (
      name:
      let
        store = cfg.stores.${name};
        option = "secretctl.stores.${name}";
        folders = [
          {
            option = "${option}.path";
            path = store.path;
          }
          {
            option = "${option}.mountPoint";
            path = store.mountPoint;
          }
        ];
      in
      concatMap (
        folder:
        problemIf (elem folder.path tooWide || !isPlainAbsolute folder.path) (
          "`${folder.option}` is ${quoted folder.path}: give it an absolute path of its own, without empty parts, `.` and `..`"
        )
      ) folders
      ++ problemIf (store.allowSwap && store.filesystem != "tmpfs") (
        "`${option}.allowSwap` is on, but `filesystem` is ${quoted store.filesystem}: it is of use with \"tmpfs\" only"
      )
      ++ problemIf (store.allowDisk && store.filesystem != "directory") (
        "`${option}.allowDisk` is on, but `filesystem` is ${quoted store.filesystem}: it is of use with \"directory\" only"
      )
    ) (attrNames cfg.stores)
    ++ (
      let
        places = concatMap (
          name:
          map
            (part: {
              option = "secretctl.stores.${name}.${part}";
              path = cfg.stores.${name}.${part};
            })
            [
              "path"
              "mountPoint"
            ]
        ) (attrNames cfg.stores);
      in
      map (
        clash:
        let
          one = clash.same or clash.folder;
          other = clash.other or clash.file;
        in
        "`${one.option}` is ${quoted one.path} and `${other.option}` is ${quoted other.path}: "
        + "stores must not share folders"
      ) (clashes (place: place.path) places)
    );
in
{
  config = {
    assertions =
      map
        (message: {
          assertion = false;
          inherit message;
        })
        (
          ofNames
          ++ ofNamesTogether
          ++ ofPaths
          ++ ofOwners
          ++ ofPasswords
          ++ ofUnits
          ++ ofServices
          ++ ofSources
          ++ ofTemplates
          ++ ofKeys
          ++ ofBoot
          ++ ofKeyServices
          ++ ofStores
        );
    warnings = lib.optional cfg.useTestValues (
      "`secretctl.useTestValues` is on: secrets that have a `testValue` are installed with it, and a switch of a real "
      + "system is refused"
    );
  };
}
