import { shortenBackoff } from "./short-backoff.ts";

/**
 * Loads the `modal` package without a developer's profile: the package reads `~/.modal.toml` (or
 * `MODAL_CONFIG_PATH`) once, while it is being loaded, and a profile found there would mix with the
 * settings we give. For that moment the variable names a file that cannot exist.
 */
await shortenBackoff();
const configured = process.env["MODAL_CONFIG_PATH"];
process.env["MODAL_CONFIG_PATH"] = "/dev/null/no-modal-profile";
const { ModalClient } = await import("modal");
if (configured === undefined) delete process.env["MODAL_CONFIG_PATH"];
else process.env["MODAL_CONFIG_PATH"] = configured;

export { ModalClient };
