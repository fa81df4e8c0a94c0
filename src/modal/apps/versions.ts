/**
 * Two versions that have to match. The image builder decides what Modal mounts beside the
 * image (from `2025.06` on the client's own dependencies, `cbor2` among them), the client mount is the
 * Python SDK that boots the handler. They are pinned together, instead of following what the
 * environment happens to be set to: on `2024.10` and older a container has no `cbor2`, and `2026.10`
 * asks for a newer client mount (`modal-wire` 2.4 and 2.5).
 */

/** Sent as `builder_version` with every image. */
export const IMAGE_BUILDER_VERSION = "2025.06";

/** The published Python SDK in the container; found as the global mount `modal-client-mount-<version>`. */
export const CLIENT_MOUNT_VERSION = "1.5.4";
