package dev.whence.embedded;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.BindException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A schema registry inside this JVM: the calls of Confluent's REST interface that Avro serializers,
 * deserializers and clients make. It listens on 127.0.0.1 only and keeps ids, versions and
 * compatibility levels in its data directory; ids are on disk before they are given out and never
 * used again.
 *
 * <p>Not there, and refused with a sentence: deleting, schema references, modes, and types other
 * than Avro.
 */
public final class EmbeddedRegistry implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(EmbeddedRegistry.class);
  private static final String MEDIA_TYPE = "application/vnd.schemaregistry.v1+json";
  private static final Set<String> ACCEPTED =
      Set.of(MEDIA_TYPE, "application/vnd.schemaregistry+json", "application/json");
  private static final int MAX_BODY_BYTES = 1 << 20;
  private static final int THREADS = 4;

  /** Without it each answer waits 40 ms for the client's delayed acknowledgement. */
  private static final String NO_DELAY = "sun.net.httpserver.nodelay";

  static {
    // Read once, when the JVM makes its first HttpServer.
    if (System.getProperty(NO_DELAY) == null) {
      System.setProperty(NO_DELAY, "true");
    }
  }

  private final DataDirectory directory;
  private final SchemaStore store;
  private final RegistryRoutes routes;
  private final HttpServer server;
  private final ExecutorService threads;

  private EmbeddedRegistry(DataDirectory directory, SchemaStore store, HttpServer server) {
    this.directory = directory;
    this.store = store;
    this.server = server;
    this.routes = new RegistryRoutes(store);
    this.threads =
        Executors.newFixedThreadPool(
            THREADS,
            task -> {
              Thread thread = new Thread(task, "embedded-registry");
              thread.setDaemon(true);
              return thread;
            });
  }

  /** Starts a registry on a free port. */
  public static EmbeddedRegistry open(Path dataDirectory) throws IOException {
    return open(dataDirectory, 0);
  }

  /**
   * Starts a registry.
   *
   * @param dataDirectory created where it is missing
   * @param port or 0 for a free one
   * @throws DataDirectoryInUseException if another registry has the directory
   * @throws IOException if the port is taken, or the journal can not be read or written
   */
  public static EmbeddedRegistry open(Path dataDirectory, int port) throws IOException {
    DataDirectory directory = DataDirectory.acquire(dataDirectory);
    try {
      SchemaStore store = SchemaStore.open(directory.path().resolve("schemas.jsonl"));
      try {
        EmbeddedRegistry registry =
            new EmbeddedRegistry(directory, store, bind(port == 0 ? LoopbackPorts.free() : port));
        registry.server.createContext("/", registry::handle);
        registry.server.setExecutor(registry.threads);
        registry.server.start();
        return registry;
      } catch (IOException | RuntimeException e) {
        store.close();
        throw e;
      }
    } catch (IOException | RuntimeException e) {
      directory.close();
      throw e;
    }
  }

  private static HttpServer bind(int port) throws IOException {
    try {
      return HttpServer.create(LoopbackPorts.address(port), 0);
    } catch (BindException e) {
      throw new IOException(
          "port "
              + port
              + " of "
              + LoopbackPorts.HOST
              + " is taken; choose another port for the registry",
          e);
    }
  }

  /** The value of {@code schema.registry.url}. */
  public String url() {
    return "http://" + LoopbackPorts.HOST + ":" + port();
  }

  public int port() {
    return server.getAddress().getPort();
  }

  /** Stops at once and gives the data directory back. */
  @Override
  public void close() throws IOException {
    server.stop(0);
    threads.shutdownNow();
    store.close();
    directory.close();
  }

  private void handle(HttpExchange exchange) throws IOException {
    int status = 200;
    JsonNode answer;
    try {
      refuseOtherHosts(exchange);
      answer =
          routes.answer(
              exchange.getRequestMethod(),
              segments(exchange.getRequestURI().getRawPath()),
              parameters(exchange.getRequestURI().getRawQuery()),
              body(exchange));
    } catch (RegistryException e) {
      status = e.status();
      answer = error(e.code(), String.valueOf(e.getMessage()));
    } catch (IOException | RuntimeException e) {
      log.error("a registry request failed", e);
      status = 500;
      answer = error(50001, "Error in the backend data store: " + e.getClass().getSimpleName());
    }
    byte[] bytes = answer.toString().getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", MEDIA_TYPE);
    boolean head = exchange.getRequestMethod().equals("HEAD");
    exchange.sendResponseHeaders(status, head ? -1 : bytes.length);
    if (!head) {
      exchange.getResponseBody().write(bytes);
    }
    exchange.close();
  }

  private static JsonNode error(int code, String message) {
    return JsonNodeFactory.instance.objectNode().put("error_code", code).put("message", message);
  }

  /** A web page must not reach the registry by a name of its own that resolves to 127.0.0.1. */
  private static void refuseOtherHosts(HttpExchange exchange) {
    String host = String.valueOf(exchange.getRequestHeaders().getFirst("Host"));
    String name = host.replaceFirst(":\\d+$", "").toLowerCase(Locale.ROOT);
    if (!name.equals(LoopbackPorts.HOST) && !name.equals("localhost")) {
      throw new RegistryException(
          403, 403, "This registry answers only to 127.0.0.1 and localhost");
    }
  }

  private static byte[] body(HttpExchange exchange) throws IOException {
    byte[] body = exchange.getRequestBody().readNBytes(MAX_BODY_BYTES + 1);
    if (body.length > MAX_BODY_BYTES) {
      throw new RegistryException(
          413, 413, "The body of the request is longer than " + MAX_BODY_BYTES + " bytes");
    }
    String type = String.valueOf(exchange.getRequestHeaders().getFirst("Content-Type"));
    String media = type.replaceFirst(";.*", "").strip().toLowerCase(Locale.ROOT);
    if (body.length > 0 && !ACCEPTED.contains(media)) {
      throw new RegistryException(415, 415, "HTTP 415 Unsupported Media Type: send " + MEDIA_TYPE);
    }
    return body;
  }

  private static List<String> segments(String rawPath) {
    List<String> segments = new ArrayList<>();
    for (String segment : rawPath.substring(rawPath.startsWith("/") ? 1 : 0).split("/", -1)) {
      segments.add(decode(segment.replace("+", "%2B"))); // in a path, + is only a plus
    }
    if (segments.get(segments.size() - 1).isEmpty()) {
      segments.remove(segments.size() - 1);
    }
    return segments;
  }

  private static Map<String, String> parameters(@Nullable String raw) {
    Map<String, String> parameters = new HashMap<>();
    if (raw != null) {
      for (String pair : raw.split("&", -1)) {
        int equals = pair.indexOf('=');
        if (equals > 0) {
          parameters.put(decode(pair.substring(0, equals)), decode(pair.substring(equals + 1)));
        }
      }
    }
    return parameters;
  }

  private static String decode(String text) {
    try {
      return URLDecoder.decode(text, StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      throw new RegistryException(400, 400, "The address holds a wrong percent escape");
    }
  }
}
