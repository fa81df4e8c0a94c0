import {
  Cluster,
  type ClusterNode,
  type ClusterOptions,
  type Command,
  Redis,
  type RedisOptions,
} from "ioredis";
import { Patience, type PatienceMs } from "./redis-patience.ts";

/** Of TCP's own probes, for what lies between two of our pings. */
const KEEP_ALIVE_MS = 10_000;
/** An idle connection asks for a sign of life this often. */
const PING_MS = 5000;
const CONNECT_MS = 5000;
/** Between two tries of a command on a cluster that is electing a primary. */
const CLUSTER_PAUSE_MS = 200;

/** Part of ioredis that its types keep private. */
interface Innards {
  flushQueue(error: Error): void;
}

type Options = Omit<RedisOptions, "replyMapping">;
/** Of every node of a cluster. */
export type NodeOptions = Pick<RedisOptions, "username" | "password" | "tls" | "connectionName">;

/** How a connection bears with a Redis that is away or silent. */
export interface Bearing {
  readonly patienceMs: PatienceMs;
  /** How late an answer may be before the server is taken for gone, in milliseconds. */
  readonly answerMs: number;
}

/** For commands that wait for something to happen: BullMQ and the feed of changes wait 10 s at most. */
const WAITING: Bearing = { patienceMs: null, answerMs: 15_000 };

function commonOptions({ answerMs }: Bearing) {
  return {
    maxRetriesPerRequest: null,
    enableReadyCheck: true,
    lazyConnect: true,
    keepAlive: KEEP_ALIVE_MS,
    connectTimeout: CONNECT_MS,
    socketTimeout: answerMs,
  } as const satisfies Options;
}

/** A connection to one Redis, or to the primary that Sentinels name, that is replaced whenever it is of no use. */
export class PatientRedis extends Redis {
  readonly #patience: Patience;

  constructor(options: Options, bearing: Bearing) {
    const patience = new Patience(bearing.patienceMs);
    super({
      ...commonOptions(bearing),
      ...options,
      retryStrategy: patience.delayMs,
      reconnectOnError: patience.onReplyError,
    });
    this.#patience = patience;
    watch(this, patience);
    keepAsking(this);
  }

  override sendCommand(command: Command, stream?: Parameters<Redis["sendCommand"]>[1]): unknown {
    if (!this.#patience.admit(command, this.status === "connect")) return command.promise;
    return super.sendCommand(command, stream);
  }

  /** Another connection, for commands that wait for something to happen. */
  override duplicate(override: Partial<RedisOptions> = {}): Redis {
    const { replyMapping: _mapping, ...options } = { ...this.options, ...override };
    return new PatientRedis({ ...options, socketTimeout: WAITING.answerMs }, WAITING);
  }
}

/** Connections to the nodes of a cluster. */
export class PatientCluster extends Cluster {
  readonly #patience: Patience;
  readonly #nodes: ClusterNode[];
  readonly #login: NodeOptions;

  constructor(nodes: ClusterNode[], login: NodeOptions, bearing: Bearing) {
    const patience = new Patience(bearing.patienceMs);
    super(nodes, {
      lazyConnect: true,
      // Nodes keep the names that they were given: certificates are checked against those.
      dnsLookup: (address, callback) => callback(null, address),
      clusterRetryStrategy: patience.delayMs,
      retryDelayOnFailover: CLUSTER_PAUSE_MS,
      retryDelayOnClusterDown: CLUSTER_PAUSE_MS,
      maxRedirections: Math.ceil((bearing.patienceMs ?? Infinity) / CLUSTER_PAUSE_MS) + 1,
      redisOptions: { ...commonOptions(bearing), ...login },
    });
    this.#patience = patience;
    this.#nodes = nodes;
    this.#login = login;
    watch(this, patience);
    this.on("+node", keepAsking);
  }

  override sendCommand(
    command: Command,
    stream?: Parameters<Cluster["sendCommand"]>[1],
    node?: unknown,
  ): unknown {
    if (!this.#patience.admit(command, this.status === "connect")) return command.promise;
    return super.sendCommand(command, stream, node);
  }

  /** Other connections, for commands that wait for something to happen. */
  override duplicate(_nodes?: ClusterNode[], { redisOptions }: ClusterOptions = {}): Cluster {
    const name = redisOptions?.connectionName;
    const named = name === undefined ? {} : { connectionName: name };
    return new PatientCluster(this.#nodes, { ...this.#login, ...named }, WAITING);
  }
}

function watch(connection: Redis | Cluster, patience: Patience): void {
  const drop = (error: Error) => (connection as unknown as Innards).flushQueue(error);
  patience.onRefusal((error) => {
    if (connection.listenerCount("error") > 0) connection.emit("error", error);
  });
  connection.on("close", () => patience.away(drop));
  connection.on("ready", () => patience.back());
  connection.on("end", () => patience.back());
}

/**
 * Notices a server that is gone without a word: ioredis gives up a connection on which an answer is overdue, so an idle
 * one only has to be asked something.
 */
function keepAsking(redis: Redis): void {
  let timer: NodeJS.Timeout | undefined;
  redis.on("ready", () => {
    clearInterval(timer);
    timer = setInterval(() => {
      if (redis.status === "ready" && redis.commandQueue.length === 0) redis.ping().catch(() => undefined);
    }, PING_MS);
    timer.unref();
  });
  redis.on("end", () => clearInterval(timer));
}
