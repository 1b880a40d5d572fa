// The store of the packages in the current folder, as the README of their generation sets it up.

import { createRequire } from 'node:module';

/** CommonJS from the current folder's packages. */
export const load = createRequire(`${process.cwd()}/`);

/** What the current folder's package.json asks for. */
export const { dependencies } = load('./package.json');

export async function connect(url, session) {
  const client = dependencies.ioredis ? ioredis(url) : nodeRedis(url);
  client.on('error', (error) => console.error(error.message));
  // ioredis connects by itself, and so does node-redis 3.
  if (!dependencies.ioredis) await client.connect?.();
  const connectRedis = load('connect-redis');
  // The export has a name since 8, was the default in 7, and a function of express-session before.
  const RedisStore = connectRedis.RedisStore ?? connectRedis.default ?? connectRedis(session);
  return new RedisStore({ client });
}

function nodeRedis(url) {
  const redis = load('redis');
  const nodes = nodesOf(url);
  return nodes ? redis.createCluster({ rootNodes: nodes.map((url) => ({ url })) }) : redis.createClient({ url });
}

function ioredis(url) {
  const Redis = load('ioredis');
  const nodes = nodesOf(url);
  return nodes ? new Redis.Cluster(nodes) : new Redis(url);
}

/** `redis-cluster://HOST:PORT,HOST:PORT` names nodes of a cluster. */
function nodesOf(url) {
  const [scheme, nodes] = url.split('://');
  return scheme === 'redis-cluster' ? nodes.split(',').map((node) => `redis://${node}`) : undefined;
}
