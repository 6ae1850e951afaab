package dev.whence.buckets;

import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Map;

/** A store in this process that answers as it is told; new clients speak to it until it closes. */
final class StubStore implements AutoCloseable {
  private static final Map<String, String> SETTINGS =
      Map.of(
          "aws.region", "us-east-1",
          "aws.accessKeyId", "tester",
          "aws.secretAccessKey", "not-checked");
  private static final String ENDPOINT = "aws.endpointUrlS3";

  private final HttpServer server;

  /**
   * @param answer on one thread
   */
  StubStore(HttpHandler answer) throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", answer);
    server.start();
    SETTINGS.forEach(System::setProperty);
    System.setProperty(ENDPOINT, "http://127.0.0.1:" + server.getAddress().getPort());
  }

  /** A bucket, with a client of its own. */
  Bucket bucket() {
    return new Bucket(new Store(), "models");
  }

  @Override
  public void close() {
    SETTINGS.keySet().forEach(System::clearProperty);
    System.clearProperty(ENDPOINT);
    server.stop(0);
  }
}
