package dev.whence.producer;

import dev.whence.producer.DeliveryException.Reason;
import dev.whence.schemas.AvroSerdes;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.LlmResponse;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Puts an application's model responses on Kafka, out of the application's way.
 *
 * <p>{@link #record} never throws, and blocks only if {@link Overflow#block} asks for it: it puts
 * the response into a queue that is bounded in bytes, from where one daemon thread serialises and
 * sends it. With broker and schema registry away the queue fills, nothing else happens, and it is
 * delivered when they are back. Delivery is idempotent and acknowledged by all in-sync replicas: in
 * Kafka once, unless the process ends before.
 *
 * <p>Responses that are lost all the same (the queue is full, Kafka refuses them) fail their
 * futures, are counted, and are told in the log with reason and number, at most once a minute.
 *
 * <p>Stages that were attached to a returned future run on the sending threads: keep them short or
 * use the {@code ...Async} forms.
 *
 * <p>Safe for use by many threads; one instance per process is enough.
 */
public final class Whence implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Whence.class);
  private static final Duration CLOSE = Duration.ofSeconds(10);

  private final ProducerSettings settings;
  private final SendQueue queue;
  private final Overflow overflow;
  private final Tally tally = new Tally();
  private final Losses losses = new Losses();
  private final Sender sender;

  private Whence(Builder builder) {
    settings = builder.settings();
    queue = new SendQueue(builder.maxQueueBytes);
    overflow = builder.overflow;
    sender = new Sender(settings, queue, tally, losses);
    sender.start();
  }

  public static Builder builder() {
    return new Builder();
  }

  /**
   * Takes a response to be delivered.
   *
   * @return completes when Kafka has acknowledged it, or with a {@link DeliveryException}
   */
  public CompletableFuture<Delivery> record(LlmResponse response) {
    tally.recorded.increment();
    try {
      return enqueue(response);
    } catch (RuntimeException e) {
      // Texts that are null in a record that was not made by its builder, for example.
      losses.add(Reason.INVALID, e);
      tally.failed.increment();
      return CompletableFuture.failedFuture(
          new DeliveryException(
              Reason.INVALID, "the response can not be read: " + e.getClass().getName(), null));
    }
  }

  /** Makes a response and takes it; what goes wrong in making it fails the future only. */
  public CompletableFuture<Delivery> record(Consumer<LlmResponseBuilder> making) {
    LlmResponse response;
    try {
      LlmResponseBuilder builder = new LlmResponseBuilder();
      making.accept(builder);
      response = builder.build();
    } catch (RuntimeException e) {
      tally.recorded.increment();
      tally.failed.increment();
      losses.add(Reason.INVALID, e);
      return CompletableFuture.failedFuture(
          new DeliveryException(Reason.INVALID, "the response can not be made", e));
    }
    return record(response);
  }

  private CompletableFuture<Delivery> enqueue(LlmResponse response) {
    if (response.getResponseId().isEmpty()) {
      return failed(Reason.INVALID, "the response has no responseId");
    }
    Pending pending = new Pending(response, Footprint.of(response));
    if (pending.bytes() > queue.capacityBytes()) {
      return failed(
          Reason.TOO_LARGE,
          "the response takes "
              + pending.bytes()
              + " bytes and the whole queue has "
              + queue.capacityBytes());
    }
    Duration atMost = overflow instanceof Overflow.Block block ? block.atMost() : Duration.ZERO;
    try {
      return switch (queue.offer(pending, atMost)) {
        case ACCEPTED -> pending.delivery();
        case CLOSED -> closed();
        case FULL -> dropped();
      };
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return dropped();
    }
  }

  private CompletableFuture<Delivery> closed() {
    CompletableFuture<Delivery> refused = failed(Reason.CLOSED, "Whence is closed");
    // The sending thread, which tells of losses otherwise, has gone.
    losses.tellNowAndThen();
    return refused;
  }

  private CompletableFuture<Delivery> failed(Reason reason, String message) {
    tally.failed.increment();
    losses.add(reason, null);
    return CompletableFuture.failedFuture(new DeliveryException(reason, message, null));
  }

  private CompletableFuture<Delivery> dropped() {
    tally.dropped.increment();
    losses.add(Reason.QUEUE_FULL, null);
    return CompletableFuture.failedFuture(
        new DeliveryException(
            Reason.QUEUE_FULL, "the queue of " + queue.capacityBytes() + " bytes is full", null));
  }

  /**
   * Asks the brokers where responses go to. It waits for their answer: not for the path of a
   * request.
   *
   * @return empty if no broker answers in this time
   * @throws IllegalStateException if no client can be made of the settings, or the brokers refuse
   *     it
   */
  public Optional<Destination> destination(Duration atMost) throws InterruptedException {
    return Cluster.id(settings, atMost)
        .map(cluster -> new Destination(cluster, settings.topic().name()));
  }

  public Counters counters() {
    return new Counters(
        tally.recorded.sum(),
        tally.delivered.sum(),
        tally.dropped.sum(),
        tally.failed.sum(),
        queue.unfinished(),
        queue.heldBytes());
  }

  /**
   * Accepts nothing more, delivers what is queued, and gives up the rest when the time is over:
   * their futures fail with {@link Reason#CLOSED}.
   *
   * @return whether everything was delivered
   */
  public boolean close(Duration atMost) {
    boolean delivered = sender.close(atMost);
    if (!delivered) {
      LOG.warn("Closed before every recorded response was delivered: {}", counters());
    }
    return delivered;
  }

  /** Closes with ten seconds for what is queued. */
  @Override
  public void close() {
    close(CLOSE);
  }

  /** Settings of a {@link Whence}; only the two addresses have to be given. */
  public static final class Builder {
    private static final long MIB = 1 << 20;

    private String bootstrapServers = "";
    private String schemaRegistry = "";
    private String topicPrefix = Topics.DEFAULT_PREFIX;
    private String instanceId = UUID.randomUUID().toString();
    private long maxQueueBytes = 64 * MIB;
    private Overflow overflow = Overflow.dropNewest();
    private boolean autoRegisterSchemas;
    private Map<String, String> kafka = Map.of();
    private Map<String, String> registry = Map.of();

    private Builder() {}

    /** Addresses of Kafka, for example {@code kafka-1:9092,kafka-2:9092}. */
    public Builder bootstrapServers(String addresses) {
      bootstrapServers = addresses;
      return this;
    }

    /** Addresses of the schema registry, for example {@code https://registry:8081}. */
    public Builder schemaRegistry(String addresses) {
      schemaRegistry = addresses;
      return this;
    }

    /** What the names of topics start with; {@code whence.} by default. */
    public Builder topicPrefix(String prefix) {
      topicPrefix = prefix;
      return this;
    }

    /** Name of this process in the headers of what it sends; random by default. */
    public Builder instanceId(String id) {
      instanceId = id;
      return this;
    }

    /** Bound on the memory of responses on their way; 64 MiB by default. */
    public Builder maxQueueBytes(long bytes) {
      maxQueueBytes = bytes;
      return this;
    }

    /** What to do when the queue is full; drop the newest by default. */
    public Builder overflow(Overflow policy) {
      overflow = policy;
      return this;
    }

    /** Whether schemas may be registered by sending: for trying out only, off by default. */
    public Builder autoRegisterSchemas(boolean allowed) {
      autoRegisterSchemas = allowed;
      return this;
    }

    /** Further settings of Kafka's producer: TLS, SASL, timeouts of its connections. */
    public Builder kafka(Map<String, String> settings) {
      kafka = Map.copyOf(settings);
      return this;
    }

    /**
     * Further settings of the registry's client: credentials, and TLS of its connection by the
     * names {@code ssl.*}, which do not touch the connection to Kafka.
     */
    public Builder registry(Map<String, String> settings) {
      registry = Map.copyOf(settings);
      return this;
    }

    /**
     * Starts the sending thread. Neither Kafka nor the registry need be there.
     *
     * @throws IllegalArgumentException if the settings can not work, or if Confluent's serializer
     *     ({@code io.confluent:kafka-avro-serializer}) is not on the class path
     */
    public Whence build() {
      return new Whence(this);
    }

    private ProducerSettings settings() {
      if (bootstrapServers.isBlank() || schemaRegistry.isBlank()) {
        throw new IllegalArgumentException("bootstrapServers and schemaRegistry must both be set");
      }
      if (AvroSerdes.hasUserInfo(schemaRegistry)) {
        throw new IllegalArgumentException(
            "the registry's address holds a user or a password, which the registry's client would"
                + " log; give them with registry(Map.of(\"basic.auth.credentials.source\","
                + " \"USER_INFO\", \"basic.auth.user.info\", ...)) instead");
      }
      if (maxQueueBytes < MIB) {
        throw new IllegalArgumentException(
            "maxQueueBytes is " + maxQueueBytes + "; it must be 1 MiB (" + MIB + ") or more");
      }
      Map<String, String> all = new HashMap<>(kafka);
      all.put("bootstrap.servers", bootstrapServers);
      return ProducerSettings.of(
          all, schemaRegistry, registry, autoRegisterSchemas, topicPrefix, instanceId);
    }
  }
}
