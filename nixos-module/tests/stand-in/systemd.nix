# Units as NixOS declares and renders them, as far as a module of secrets needs it: re-made small from
# what NixOS documents and prints.
{ lib, pkgs }:
let
  inherit (lib) mkOption types;
  inherit (builtins)
    attrNames
    concatLists
    concatStringsSep
    isList
    isPath
    map
    mapAttrs
    toJSON
    toString
    ;

  # A value, or several: definitions that are lists are joined.
  unitOption = lib.mkOptionType {
    name = "systemd option";
    check = _: true;
    merge =
      loc: definitions:
      let
        # the real module system hands on { file; value; }
        values = map (d: if lib.isAttrs d && d ? value && d ? file then d.value else d) definitions;
      in
      if builtins.any isList values then
        concatLists (map lib.toList values)
      else if builtins.all (value: value == builtins.head values) values then
        builtins.head values
      else
        throw "The option `${lib.showOption loc}' has conflicting definition values";
  };
  section = mkOption {
    type = types.attrsOf unitOption;
    default = { };
  };
  lists = [
    "wantedBy"
    "requiredBy"
    "upheldBy"
    "aliases"
    "wants"
    "requires"
    "requisite"
    "bindsTo"
    "partOf"
    "upholds"
    "conflicts"
    "after"
    "before"
    "onFailure"
    "onSuccess"
    "documentation"
  ];
  common = {
    enable = mkOption {
      type = types.bool;
      default = true;
    };
    description = mkOption {
      type = types.str;
      default = "";
    };
    unitConfig = section;
  }
  // lib.genAttrs lists (
    _:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
    }
  )
  // lib.genAttrs [ "restartTriggers" "reloadTriggers" ] (
    _:
    mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
    }
  );
  of = options: types.attrsOf (types.submodule { options = common // options; });

  value =
    x:
    if x == true then
      "true"
    else if x == false then
      "false"
    else
      toString x;
  lines =
    settings:
    lib.concatStrings (
      concatLists (
        lib.mapAttrsToList (name: x: map (one: "${name}=${value one}\n") (lib.toList x)) settings
      )
    );

  unitLines =
    name: unit:
    let
      words = {
        Requires = unit.requires;
        Wants = unit.wants;
        Upholds = unit.upholds;
        After = unit.after;
        Before = unit.before;
        BindsTo = unit.bindsTo;
        PartOf = unit.partOf;
        Conflicts = unit.conflicts;
        Requisite = unit.requisite;
        OnFailure = unit.onFailure;
        OnSuccess = unit.onSuccess;
        Documentation = unit.documentation;
      };
      triggers =
        kind: list:
        lib.optionalAttrs (list != [ ]) {
          ${kind} = "${pkgs.writeText "${kind}-${name}" (
            toString (map (x: if isPath x then "${x}" else x) (lib.flatten list))
          )}";
        };
    in
    "[Unit]\n"
    + lines (
      mapAttrs (_: toString) (lib.filterAttrs (_: list: list != [ ]) words)
      // triggers "X-Restart-Triggers" unit.restartTriggers
      // triggers "X-Reload-Triggers" unit.reloadTriggers
      // lib.optionalAttrs (unit.description != "") { Description = unit.description; }
      // unit.unitConfig
    );
  install = unit: lib.optionalString (unit.wantedBy != [ ]) "\n[Install]\nWantedBy=${toString unit.wantedBy}\n";

  serviceText =
    globalEnvironment: name: unit:
    let
      path = lib.optionalAttrs (unit.path != [ ]) {
        PATH = "${lib.makeBinPath unit.path}:${lib.makeSearchPath "sbin" unit.path}";
      };
      environment = lib.filterAttrs (_: x: x != null) (globalEnvironment // path // unit.environment);
    in
    unitLines name unit
    + "\n[Service]\n"
    + lib.concatStrings (
      map (variable: "Environment=${toJSON "${variable}=${environment.${variable}}"}\n") (attrNames environment)
    )
    + (
      if unit.reloadIfChanged then
        "X-ReloadIfChanged=true\n"
      else
        lib.optionalString (!unit.restartIfChanged) "X-RestartIfChanged=false\n"
    )
    + lib.optionalString (!unit.stopIfChanged) "X-StopIfChanged=false\n"
    + lines unit.serviceConfig
    + install unit;
  socketText =
    name: unit:
    unitLines name unit
    + "\n[Socket]\n"
    + lines unit.socketConfig
    + concatStringsSep "\n" (map (stream: "ListenStream=${stream}") unit.listenStreams)
    + "\n"
    + install unit;

  timerText =
    name: unit:
    unitLines name unit
    + "\n[Timer]\n"
    + lines unit.timerConfig
    + install unit;

  # As `systemd-escape --path` does it.
  escapePath =
    path:
    let
      plain = lib.removePrefix "/" path;
      escaped = lib.stringToCharacters plain;
      one = c: if c == "/" then "-" else if c == "-" then "\\x2d" else if c == " " then "\\x20" else c;
    in
    lib.concatStrings (map one escaped);
  mountText =
    name: unit:
    unitLines name unit
    + "\n[Mount]\n"
    + lines (
      {
        What = unit.what;
        Where = unit.where;
      }
      // lib.optionalAttrs (unit.type != "") { Type = unit.type; }
      // lib.optionalAttrs (unit.options != "") { Options = unit.options; }
      // unit.mountConfig
    )
    + install unit;

  text = mkOption {
    type = types.str;
    default = "";
  };
  flag =
    default:
    mkOption {
      type = types.bool;
      inherit default;
    };
in
{
  services = of {
    script = mkOption {
      type = types.lines;
      default = "";
    };
    path = mkOption {
      type = types.listOf (types.either types.package types.str);
      default = [ ];
    };
    environment = mkOption {
      type = types.attrsOf (types.nullOr (types.oneOf [ types.str types.path types.package ]));
      default = { };
    };
    serviceConfig = section;
    restartIfChanged = flag true;
    stopIfChanged = flag true;
    reloadIfChanged = flag false;
  };
  sockets = of {
    socketConfig = section;
    listenStreams = mkOption {
      type = types.listOf types.str;
      default = [ ];
    };
  };
  timers = of {
    timerConfig = section;
  };
  targets = of { };
  mounts = types.listOf (
    types.submodule {
      options = common // {
        what = text;
        where = text;
        type = text;
        options = text;
        mountConfig = section;
      };
    }
  );

  # All units of a manager: { "x.service" = { text; wantedBy; requiredBy; }; }.
  render =
    {
      services,
      sockets,
      timers ? { },
      targets,
      mounts,
      globalEnvironment ? { },
    }:
    let
      all =
        suffix: text: units:
        lib.mapAttrs' (name: unit: {
          name = "${name}.${suffix}";
          value = {
            text = text name unit;
            inherit (unit) wantedBy requiredBy aliases;
          };
        }) (lib.filterAttrs (_: unit: unit.enable) units);
    in
    all "service" (serviceText globalEnvironment) services
    // all "socket" socketText sockets
    // all "timer" timerText timers
    // all "target" unitLines targets
    // all "mount" mountText (
      builtins.listToAttrs (
        map (value: {
          name = escapePath value.where;
          inherit value;
        }) mounts
      )
    );
}
