import { dirname, posix } from "node:path";
import { parseSync } from "oxc-parser";

/** Source files by path, relative to the repository. */
export type Sources = Readonly<Record<string, string>>;

/**
 * Finds groups of files that import each other, counting type imports and `import()` too, which oxlint's
 * `import/no-cycle` does not follow. Each group is sorted.
 */
export function importCycles(sources: Sources): string[][] {
  const imports = new Map(
    Object.entries(sources).map(([path, text]) => [path, localImports(path, text)] as const),
  );
  const reached = new Map([...imports.keys()].map((path) => [path, reachableFrom(path, imports)] as const));
  const groups = new Map<string, string[]>();
  for (const [path, others] of reached) {
    if (!others.has(path)) continue;
    const group = [...others].filter((other) => reached.get(other)?.has(path) === true).toSorted();
    groups.set(group.join(" "), group);
  }
  return [...groups.values()];
}

function localImports(path: string, text: string): string[] {
  const { module } = parseSync(path, text);
  const requests = [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.flatMap(({ moduleRequest }) => moduleRequest?.value ?? []),
    ),
    ...[...text.matchAll(/\bimport\("([^"]+)"\)/gu)].flatMap(([, request]) => request ?? []),
  ];
  return requests
    .filter((request) => request.startsWith("."))
    .map((request) => posix.join(dirname(path), request));
}

function reachableFrom(start: string, imports: ReadonlyMap<string, readonly string[]>): Set<string> {
  const reached = new Set<string>();
  const open = [...(imports.get(start) ?? [])];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    open.push(...(imports.get(path) ?? []));
  }
  return reached;
}
