declare module "fs-native-extensions" {
  /** Locks a whole file for this open file alone; false when another has it. */
  export function tryLock(fd: number): boolean;
}
