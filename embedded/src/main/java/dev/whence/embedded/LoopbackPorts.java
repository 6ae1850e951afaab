package dev.whence.embedded;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Ports of 127.0.0.1.
 *
 * <p>Free ports are looked for below the range that operating systems give to outgoing connections
 * (32768 and up on Linux, 49152 and up elsewhere). A client that keeps dialling a stopped server
 * inside that range may be given the very port it dials, connect to itself, and keep the server
 * from coming back.
 */
final class LoopbackPorts {
  static final String HOST = "127.0.0.1";
  private static final int LOWEST = 20_000;
  private static final int HIGHEST = 32_000;
  private static final int TRIES = 500;

  private LoopbackPorts() {}

  /** A port that nobody listens on at the moment. */
  static int free() throws IOException {
    for (int i = 0; i < TRIES; i++) {
      int port = ThreadLocalRandom.current().nextInt(LOWEST, HIGHEST);
      if (isFree(port)) {
        return port;
      }
    }
    throw new IOException("found no free port of 127.0.0.1 in [20000, 32000)");
  }

  /** A socket address of 127.0.0.1, without asking a resolver. */
  static InetSocketAddress address(int port) throws IOException {
    return new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), port);
  }

  static boolean isFree(int port) {
    try (ServerSocket socket = new ServerSocket()) {
      socket.setReuseAddress(true); // as Kafka binds: connections in TIME_WAIT do not count
      socket.bind(address(port));
      return true;
    } catch (IOException e) {
      return false;
    }
  }
}
