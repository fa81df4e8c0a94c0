/**
 * Containers that hold their media themselves; the same list as beside the GPU. Playlists (HLS, DASH, concat) are
 * left out on purpose: they make ffmpeg open other files of this machine.
 */
const INPUT_FORMATS =
  "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,live_flv,asf,ogg,wav,w64,mp3," +
  "mp2,flac,aac,ac3,eac3,dts,truehd,aiff,au,caf,amr,gsm,wv,ape,tta,tak,opus,mxf,nut,gxf,rm,ivf,av1,obu,dv,vob,gif," +
  "wtv,yuv4mpegpipe,apng,swf,nsv,bink,smk,roq,voc,adx,mpc,mpc8,spdif,loas,latm";

/** Options before `-i` that keep ffmpeg and ffprobe to the one file that is named. */
export const SAFE_INPUT = safeInput("file,pipe");

/** The same for an input that is read by other protocols. */
export function safeInput(protocols: string): string[] {
  return ["-protocol_whitelist", protocols, "-format_whitelist", INPUT_FORMATS];
}
