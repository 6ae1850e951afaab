package dev.whence.engine.kernel;

import ai.djl.engine.Engine;
import dev.whence.engine.EngineOptions;
import java.io.IOException;
import java.net.Proxy;
import java.net.URL;
import java.net.URLConnection;
import java.net.URLStreamHandler;

/**
 * Starts the engine in a JVM of its own and prints each address that anything in it opens by URL,
 * which is how DJL calls home. No connection is made: the handler refuses.
 */
final class SilentStart {
  private SilentStart() {}

  public static void main(String[] args) {
    URL.setURLStreamHandlerFactory(protocol -> protocol.startsWith("http") ? new Refusing() : null);
    if (args[0].equals("engine")) {
      TorchRuntime.start(EngineOptions.defaults());
    } else {
      Engine.getEngine("PyTorch");
    }
    System.out.println("started");
  }

  private static final class Refusing extends URLStreamHandler {
    @Override
    protected URLConnection openConnection(URL url) throws IOException {
      System.out.println("reaches " + url.getHost());
      throw new IOException("refused");
    }

    @Override
    protected URLConnection openConnection(URL url, Proxy proxy) throws IOException {
      return openConnection(url);
    }
  }
}
