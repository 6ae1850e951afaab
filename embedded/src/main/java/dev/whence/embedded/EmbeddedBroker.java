package dev.whence.embedded;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.metadata.storage.Formatter;
import org.apache.kafka.server.common.MetadataVersion;
import org.jspecify.annotations.Nullable;

/**
 * One real Kafka node, broker and KRaft controller combined, inside this JVM. It listens on
 * 127.0.0.1 only, without authentication, and keeps everything under one data directory: a second
 * start on the same directory finds topics, records, committed offsets and transactions as they
 * were.
 *
 * <p>{@link #stop()} and {@link #start()} restart it on the same port and data, as a broker that
 * goes down and comes back; its controller, which no client speaks to, takes a free port each time.
 * A fault that Kafka itself takes for fatal, for example a full disk, halts the JVM, as it does for
 * a broker on its own.
 *
 * <p>Thread-safe.
 */
public final class EmbeddedBroker implements AutoCloseable {
  private static final String HOST = LoopbackPorts.HOST;
  private static final String NODE_ID = "1";
  private static final String CONTROLLER = "CONTROLLER";

  private final DataDirectory directory;
  private final int port;
  private final Map<String, String> overrides;
  private @Nullable KafkaRaftServer server;
  private boolean closed;

  private EmbeddedBroker(DataDirectory directory, int port, Map<String, String> overrides) {
    this.directory = directory;
    this.port = port;
    this.overrides = Map.copyOf(overrides);
  }

  /** Starts a broker on free ports. */
  public static EmbeddedBroker open(Path dataDirectory) throws IOException {
    return open(dataDirectory, 0, Map.of());
  }

  /**
   * Starts a broker and returns when it serves.
   *
   * @param dataDirectory created and formatted where it is new
   * @param port of the broker, or 0 for a free one; the controller always takes a free one
   * @param overrides broker configuration that wins over what this class sets
   * @throws DataDirectoryInUseException if another broker has the directory
   * @throws IOException if the port is taken, the directory can not be written, or its path has a
   *     comma, which Kafka can not take
   */
  public static EmbeddedBroker open(Path dataDirectory, int port, Map<String, String> overrides)
      throws IOException {
    if (dataDirectory.toAbsolutePath().toString().contains(",")) {
      throw new IOException(
          "the data directory '"
              + dataDirectory.toAbsolutePath()
              + "' has a comma in it, where Kafka would take another one to begin; choose one"
              + " without");
    }
    DataDirectory directory = DataDirectory.acquire(dataDirectory);
    try {
      int brokerPort = port == 0 ? LoopbackPorts.free() : port;
      EmbeddedBroker broker = new EmbeddedBroker(directory, brokerPort, overrides);
      broker.start();
      return broker;
    } catch (IOException | RuntimeException e) {
      directory.close();
      throw e;
    }
  }

  /** The value of {@code bootstrap.servers}. */
  public String bootstrapServers() {
    return HOST + ":" + port;
  }

  public int port() {
    return port;
  }

  public synchronized boolean isRunning() {
    return server != null;
  }

  /**
   * Starts the broker again on its port and data; nothing happens if it runs.
   *
   * @throws IOException if the port was taken meanwhile or the directory can not be written
   * @throws IllegalStateException after {@link #close()}
   */
  public synchronized void start() throws IOException {
    if (closed) {
      throw new IllegalStateException("the embedded broker is closed");
    }
    if (server != null) {
      return;
    }
    // Looked at first, since Kafka ends the JVM when its controller can not bind.
    if (!LoopbackPorts.isFree(port)) {
      throw new IOException(
          "port " + port + " of " + HOST + " is taken; choose another port for the broker");
    }
    format();
    Properties properties = new Properties();
    properties.putAll(config(directory.path(), port, controllerPort(), overrides));
    KafkaRaftServer starting =
        new KafkaRaftServer(KafkaConfig.fromProps(properties, false), Time.SYSTEM);
    try {
      starting.startup();
    } catch (RuntimeException e) {
      starting.shutdown();
      starting.awaitShutdown();
      throw e;
    }
    server = starting;
  }

  /** Shuts the broker down cleanly and keeps port and data; nothing happens if it is down. */
  public synchronized void stop() {
    if (server != null) {
      server.shutdown();
      server.awaitShutdown();
      server = null;
    }
  }

  /** Stops the broker and gives the data directory back. */
  @Override
  public synchronized void close() throws IOException {
    if (!closed) {
      closed = true;
      stop();
      directory.close();
    }
  }

  /** Not the one of the last start: somebody may have taken it since. */
  private int controllerPort() throws IOException {
    int free = LoopbackPorts.free();
    while (free == port) {
      free = LoopbackPorts.free();
    }
    return free;
  }

  /** Gives a new directory its cluster id and node id; a formatted one is left as it is. */
  private void format() throws IOException {
    Path path = directory.path();
    if (Files.exists(path.resolve("meta.properties"))) {
      return;
    }
    try {
      new Formatter()
          .setPrintStream(
              new PrintStream(OutputStream.nullOutputStream(), false, StandardCharsets.UTF_8))
          .setNodeId(Integer.parseInt(NODE_ID))
          .setClusterId(Uuid.randomUuid().toString())
          .addDirectory(path.toString())
          .setMetadataLogDirectory(path.toString())
          .setControllerListenerName(CONTROLLER)
          .setReleaseVersion(MetadataVersion.latestProduction())
          .run();
    } catch (IOException | RuntimeException e) {
      throw e;
    } catch (Exception e) { // Formatter.run declares it
      throw new IOException("the data directory " + path + " can not be formatted", e);
    }
  }

  private static Map<String, String> config(
      Path directory, int port, int controllerPort, Map<String, String> overrides) {
    Map<String, String> config = new LinkedHashMap<>();
    config.put("process.roles", "broker,controller");
    config.put("node.id", NODE_ID);
    config.put("controller.quorum.voters", NODE_ID + "@" + HOST + ":" + controllerPort);
    String plaintext = "PLAINTEXT://" + HOST + ":" + port;
    config.put("listeners", plaintext + ",CONTROLLER://" + HOST + ":" + controllerPort);
    config.put("advertised.listeners", plaintext);
    config.put("controller.listener.names", CONTROLLER);
    config.put("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT");
    config.put("inter.broker.listener.name", "PLAINTEXT");
    config.put("log.dirs", directory.toString());
    config.put("auto.create.topics.enable", "false");

    // One node: one replica of everything.
    config.put("default.replication.factor", "1");
    config.put("min.insync.replicas", "1");
    config.put("offsets.topic.replication.factor", "1");
    config.put("transaction.state.log.replication.factor", "1");
    config.put("transaction.state.log.min.isr", "1");
    config.put("share.coordinator.state.topic.replication.factor", "1");
    config.put("share.coordinator.state.topic.min.isr", "1");

    // Small: few partitions, threads and buffers.
    config.put("offsets.topic.num.partitions", "4");
    config.put("transaction.state.log.num.partitions", "4");
    config.put("share.coordinator.state.topic.num.partitions", "4");
    config.put("num.network.threads", "2");
    config.put("num.io.threads", "2");
    config.put("log.cleaner.dedupe.buffer.size", "4194304");
    config.put("log.index.size.max.bytes", "1048576");

    // Quick: no peers to wait for, and a killed client is replaced in seconds instead of 45 s.
    config.put("group.initial.rebalance.delay.ms", "0");
    config.put("controller.quorum.election.timeout.ms", "200");
    config.put("controller.quorum.fetch.timeout.ms", "500");
    // A restart after a kill waits for this; a model that takes all cores must not use it up.
    config.put("broker.session.timeout.ms", "5000");
    config.put("broker.heartbeat.interval.ms", "500");
    for (String group : new String[] {"group.consumer", "group.streams"}) {
      config.put(group + ".min.session.timeout.ms", "5000");
      config.put(group + ".session.timeout.ms", "6000");
      config.put(group + ".min.heartbeat.interval.ms", "1000");
      config.put(group + ".heartbeat.interval.ms", "1500");
    }
    config.putAll(overrides);
    return Map.copyOf(config);
  }
}
