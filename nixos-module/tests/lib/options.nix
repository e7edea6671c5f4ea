# Declarations of options.
lib:
let
  inherit (builtins)
    all
    concatStringsSep
    head
    toJSON
    ;
in
{
  mkOption = attributes: { _type = "option"; } // attributes;
  mkEnableOption =
    what:
    lib.mkOption {
      type = lib.types.bool;
      default = false;
      example = true;
      description = "Whether to enable ${what}.";
    };
  mkPackageOption =
    packages: name: arguments:
    lib.mkOption {
      type = lib.types.package;
      default = packages.${toString (arguments.default or name)};
    };
  isType = type: x: (x._type or "") == type;
  isOption = lib.isType "option";
  showOption = concatStringsSep ".";
  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };
  literalMD = text: {
    _type = "literalMD";
    inherit text;
  };
  mdDoc = text: text;
  generators.toPretty = _: toJSON;

  mkOptionType =
    attributes:
    {
      _type = "option-type";
      check = _: true;
      merge = lib.mergeEqualOption;
      description = attributes.name;
      getSubOptions = _: { };
    }
    // attributes;
  mergeEqualOption =
    loc: values:
    if all (value: value == head values) values then
      head values
    else
      throw "The option `${lib.showOption loc}' has conflicting definition values";

  # The old option passes on what is defined of it, and has the value of the new one.
  mkRenamedOptionModule =
    from: to:
    { config, options, ... }:
    let
      old = lib.attrByPath from { isDefined = false; } options;
    in
    {
      options = lib.setAttrByPath from (
        lib.mkOption {
          visible = false;
          isRenamed = true;
          apply = _: lib.getAttrFromPath to config;
        }
      );
      config = lib.setAttrByPath to (lib.mkIf old.isDefined (lib.mkMerge old.definitions));
    };
  mkAliasOptionModule = lib.mkRenamedOptionModule;
  mkRemovedOptionModule =
    from: why: _: {
      options = lib.setAttrByPath from (
        lib.mkOption {
          visible = false;
          apply = _: throw "The option `${lib.showOption from}' can no longer be used since it's been removed. ${why}";
        }
      );
    };
}
