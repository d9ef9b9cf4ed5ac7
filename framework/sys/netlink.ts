import { SyscallError } from "../core/errors.ts";
import { i32, roundUp, type StructCodec, type StructValue, u32, viewOf } from "../core/layout.ts";
import { AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW } from "../uapi/constants.ts";
import {
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_ROUTE,
  NLA_F_NESTED,
  NLA_TYPE_MASK,
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSGERR_ATTR_MSG,
  nlattr,
  nlmsghdr,
  SOL_NETLINK,
} from "../uapi/netlink.ts";
import { withArena } from "./arena.ts";
import { Fd } from "./fd.ts";
import { checked, errnoName, libc, pinned } from "./libc.ts";

/** Headers and attributes begin at multiples of this. */
const ALIGNMENT = 4;

/** An attribute to send: its number, and its bytes or the attributes inside of it. */
export type Attribute = readonly [type: number, content: Uint8Array | readonly Attribute[]];

/** The bytes of attributes, one after another. */
export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  const parts = attributes.map(([type, content]) => {
    const isNested = !(content instanceof Uint8Array);
    const bytes = isNested ? encodeAttributes(content) : content;
    const length = nlattr.size + bytes.length;
    const part = new Uint8Array(roundUp(length, ALIGNMENT));
    part.set(nlattr.encode({ nla_len: length, nla_type: isNested ? type | NLA_F_NESTED : type }));
    part.set(bytes, nlattr.size);
    return part;
  });
  return Buffer.concat(parts);
}

/** The attributes in some bytes, by number. The last one wins where a number comes twice. */
export function decodeAttributes(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  const view = viewOf(bytes);
  for (let at = 0; at + nlattr.size <= bytes.length; ) {
    const { nla_len, nla_type } = nlattr.read(view, at);
    if (nla_len < nlattr.size) break;
    found.set(nla_type & NLA_TYPE_MASK, bytes.subarray(at + nlattr.size, at + nla_len));
    at += roundUp(nla_len, ALIGNMENT);
  }
  return found;
}

/** A 32-bit attribute. */
export function attribute32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  u32.write(viewOf(bytes), 0, value >>> 0);
  return bytes;
}

/** A text attribute, with its NUL. */
export function attributeText(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

/** A text attribute's text. */
export function textOf(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? [])
    .toString("utf8")
    .replace(/\0.*$/s, "");
}

/** One answer: its kind, and what follows its header. */
export interface Answer {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** What a request asks: its kind, flags beside NLM_F_REQUEST, the fixed part, and attributes behind it. */
export interface Request<F> {
  /** For messages: "RTM_SETLINK". */
  readonly call: string;
  readonly type: number;
  readonly flags?: number;
  readonly layout: StructCodec<F>;
  readonly values: Partial<StructValue<F>>;
  readonly attributes?: readonly Attribute[];
}

/** A refused request, with the words that the kernel had for it. */
export class NetlinkFailure extends SyscallError {
  /** For instance "Exclusivity flag on, cannot modify"; "" when the kernel said nothing. */
  readonly words: string;

  constructor(call: string, errno: string, words: string) {
    super(`netlink(${call})`, errno);
    this.words = words;
  }
}

/** An answer is at most this long; the kernel makes dumps fit what the reader offers. */
const BUFFER = 64 << 10;

/** A socket to the kernel's configuration of devices, in the network namespace in which it was opened. */
export class RouteSocket implements Disposable {
  readonly #fd: Fd;
  #sequence = 0;

  /** @throws SyscallError to be wrapped by the caller */
  constructor() {
    const fd = checked(
      "socket(AF_NETLINK)",
      libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE),
    );
    this.#fd = new Fd(fd, "a netlink socket");
    // Since Linux 4.12; before, errors are only numbers.
    this.#set(NETLINK_EXT_ACK);
    this.#set(NETLINK_CAP_ACK);
  }

  #set(option: number): void {
    withArena((arena) => {
      libc().setsockopt(this.#fd.number, SOL_NETLINK, option, Number(arena.in(attribute32(1))), 4);
    });
  }

  /**
   * Sends a request and waits for all of its answer, which the kernel has ready when sending returns.
   *
   * @throws NetlinkFailure to be wrapped by the caller
   */
  request<F>(request: Request<F>): readonly Answer[] {
    const { call, layout, values, attributes = [] } = request;
    const fixed = layout.encode(values);
    const body = Buffer.concat([fixed, encodeAttributes(attributes)]);
    const isDump = ((request.flags ?? 0) & NLM_F_DUMP) === NLM_F_DUMP;
    const header = nlmsghdr.encode({
      nlmsg_len: nlmsghdr.size + body.length,
      nlmsg_type: request.type,
      nlmsg_flags: (request.flags ?? 0) | NLM_F_REQUEST | (isDump ? 0 : NLM_F_ACK),
      nlmsg_seq: ++this.#sequence,
    });
    withArena((arena) => {
      const message = Buffer.concat([header, body]);
      checked(`send(${call})`, libc().send(this.#fd.number, Number(arena.in(message)), message.length, 0));
    });
    return this.#answers(call);
  }

  #answers(call: string): readonly Answer[] {
    const answers: Answer[] = [];
    const buffer = pinned(BUFFER);
    for (;;) {
      const length = checked(`recv(${call})`, libc().recv(this.#fd.number, buffer.address, BUFFER, 0));
      for (let at = 0; at + nlmsghdr.size <= length; ) {
        const { nlmsg_len, nlmsg_type, nlmsg_flags, nlmsg_seq } = nlmsghdr.read(buffer.view, at);
        const payload = buffer.bytes.slice(at + nlmsghdr.size, at + nlmsg_len);
        at += roundUp(Math.max(nlmsg_len, nlmsghdr.size), ALIGNMENT);
        // Of an earlier request that failed while it was read.
        if (nlmsg_seq !== this.#sequence) continue;
        if (nlmsg_type === NLMSG_DONE) return answers;
        if (nlmsg_type === NLMSG_ERROR) {
          refuse(call, payload, nlmsg_flags);
          return answers;
        }
        answers.push({ type: nlmsg_type, payload });
      }
    }
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }
}

/** Throws unless the error number of an answer is 0. Behind it stand the request's header and the kernel's words. */
function refuse(call: string, payload: Uint8Array, flags: number): void {
  const error = i32.read(viewOf(payload), 0);
  if (error === 0) return;
  const words =
    (flags & NLM_F_ACK_TLVS) === 0
      ? ""
      : textOf(decodeAttributes(payload.subarray(4 + nlmsghdr.size)).get(NLMSGERR_ATTR_MSG));
  throw new NetlinkFailure(call, errnoName(-error), words);
}
