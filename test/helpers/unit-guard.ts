import childProcess from "node:child_process";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";

/** Set-up of the unit tests: starting a server or a program fails, and says where such tests belong. */
const STARTS = ["exec", "execFile", "execFileSync", "execSync", "fork", "spawn", "spawnSync"] as const;

function refuse(action: string): () => never {
  return () => {
    throw new Error(
      `a unit test called ${action}; name the test in NEEDS_PROCESSES of vitest.config.ts if it must`,
    );
  };
}

for (const name of STARTS) Object.assign(childProcess, { [name]: refuse(name) });
net.Server.prototype.listen = refuse("listen");
syncBuiltinESMExports();
