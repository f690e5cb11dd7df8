// What every option is set to, and where that comes from: `p2p-peer config show`. PURE.

import { visible } from "../protocol/wire/text.ts";
import { envName, everyOption, type Option, POSITIONALS, rankOf, type Sources } from "./options.ts";
import { columns } from "./table.ts";
import type { Raw } from "./values.ts";

/** One option as it is set. */
export interface Setting {
  /** Its name, as in the config file. */
  readonly name: string;
  /** As it was written; for a default, as `help run` shows it. */
  readonly value: string;
  /** Where it comes from: a flag, a variable, the config file, or "default". */
  readonly origin: string;
}

const textOf = (raw: Raw): string => Array.isArray(raw) ? raw.join(", ") : String(raw);

/** Returns all settings. `configPath`: the config file, if there is one. */
export function settingsOf(sources: Sources, configPath: string | undefined): Setting[] {
  const positional = Object.values(POSITIONALS).map(({ key, env }): Setting => {
    const places = [
      [`--${key}`, sources.flags[key]],
      [env, sources.env(env) || undefined],
      [configPath ?? "", sources.file[key]],
    ] as const;
    const found = places.find(([, raw]) => raw !== undefined);
    const fallback = {
      "peer-id": "the login name",
      host: "this machine's address",
      port: "8040",
      "http-port": "8042",
    }[key];
    return {
      name: key,
      value: found ? textOf(found[1]!) : fallback,
      origin: found?.[0] ?? "default",
    };
  });
  return [...positional, ...everyOption().map((option) => settingOf(option, sources, configPath))];
}

function settingOf(
  option: Option<unknown>,
  sources: Sources,
  configPath: string | undefined,
): Setting {
  const { name, fallback, defaultText } = option;
  const variable = envName(name);
  const places = [
    [`--${name}`, sources.flags[name]],
    [variable, sources.env(variable)],
    [configPath ?? "", sources.file[name]],
  ] as const;
  const [origin, raw] = places[rankOf(option, sources)] ?? ["default", undefined];
  const value = raw === undefined ? defaultText ?? textOf(fallback as Raw) : textOf(raw);
  return { name, value, origin };
}

/** Returns the settings as lines; with their origins, if asked. */
export function settingsText(settings: readonly Setting[], hasOrigin: boolean): string {
  return columns(settings.map(({ name, value, origin }) => [
    visible(name),
    visible(value === "" ? "-" : value, 500),
    ...hasOrigin ? [visible(origin, 500)] : [],
  ]));
}
