package dev.whence.engine.kernel;

import ai.djl.engine.Engine;
import dev.whence.engine.EngineOptions;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.util.List;

/**
 * Starts the engine in a JVM of its own and prints each address that anything in it wants to reach.
 * Every connection of java.net asks the selector; it answers with a proxy where nobody listens, so
 * nothing leaves.
 */
final class SilentStart {
  private SilentStart() {}

  public static void main(String[] args) throws InterruptedException {
    ProxySelector.setDefault(new Refusing());
    if (args[0].equals("engine")) {
      TorchRuntime.start(EngineOptions.defaults());
    } else {
      Engine.getEngine("PyTorch");
    }
    // DJL reports from a thread of its own
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      if (!thread.isDaemon() && thread != Thread.currentThread()) {
        thread.join(5_000);
      }
    }
    System.out.println("started");
  }

  private static final class Refusing extends ProxySelector {
    @Override
    public List<Proxy> select(URI uri) {
      System.out.println("reaches " + uri.getHost());
      return List.of(
          new Proxy(Proxy.Type.HTTP, new InetSocketAddress(InetAddress.getLoopbackAddress(), 9)));
    }

    @Override
    public void connectFailed(URI uri, SocketAddress address, IOException e) {}
  }
}
