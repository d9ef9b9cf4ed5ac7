/** Connections over lo, for scripts that were started in a network namespace of their own. */
import type { Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** The descriptor of a socket of Node's. */
export function fdOf(socket: UdpSocket | Socket | Server): number {
  const handle = (socket as unknown as { _handle: { fd: number } })._handle;
  return handle.fd;
}

/** Both ends of a connection. */
export interface Connection {
  readonly client: Socket;
  readonly server: Socket;
  end(): void;
}

/** Makes a connection to a port of lo's; 0 takes a free one. */
export async function connection(port: number): Promise<Connection> {
  const listener = createServer().listen(port, "127.0.0.1");
  await once(listener, "listening");
  const accepted = once(listener, "connection");
  const client = connect((listener.address() as AddressInfo).port, "127.0.0.1");
  await once(client, "connect");
  const [server] = (await accepted) as [Socket];
  const end = (): void => {
    client.destroy();
    server.destroy();
    listener.close();
  };
  return { client, server, end };
}

/** The text that comes next. */
export async function arrival(socket: Socket): Promise<string> {
  const [data] = (await once(socket, "data")) as [Buffer];
  return data.toString();
}
