/** Public surface of the Modal adapter. The folders behind it are internal. */
export { modalApps } from "./apps/app.ts";
export { deployModal, type Deployment } from "./apps/deploy.ts";
export { imageFunctions, openRuntime, registrationOptions } from "./apps/open-runtime.ts";
export { createRuntimeHolder, type RuntimeHolder } from "./apps/runtime-holder.ts";
export { modalCalls } from "./calls/calls.ts";
export { modalPartCalls } from "./calls/part-calls.ts";
export { runCanary } from "./canary/canary.ts";
export type { Learnt, StepReport } from "./canary/step.ts";
export { sayHello } from "./rpc/hello.ts";
export { reachModal } from "./rpc/reach.ts";
export { type ModalSession, type ModalSessionOptions, openModalSession } from "./rpc/session.ts";
export { setupModal } from "./setup-modal.ts";
export { inLanes } from "./transfers/lanes.ts";
export { createTransferLimiter } from "./transfers/transfer-limiter.ts";
export type { VolumeEntry } from "./volumes/volume-listing.ts";
export { openVolume, type VolumeStore } from "./volumes/volume-store.ts";
export { modalVolumes } from "./volumes/volumes.ts";
