package dev.whence.influence.corpus;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.cfg.JsonNodeFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.conversation.BoundedJson;
import dev.whence.files.FileProblem;
import dev.whence.files.OwnFile;
import dev.whence.files.WriterLock;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.OutputPlace;
import dev.whence.influence.Presence;
import dev.whence.influence.corpus.TopicPlan.Range;
import dev.whence.runtime.kafka.BrokerTrouble;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.kafka.PartitionRange;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/**
 * Writes what a topic holds as a corpus file, so that factors, index and ranking, which go through
 * their corpus several times and read single documents of it again, all see the same documents
 * whatever becomes of the topic.
 *
 * <p>A record's value is a line of {@link CorpusFile}: a JSON object. A document without an {@code
 * id} gets its record's key for one, else {@code topic-partition@offset}. Committed records are
 * taken, partition by partition in the order of their offsets, from the topic's beginning up to its
 * end, or its first open transaction, when the first call began: as long as the topic keeps its
 * records, the same offsets give the same file. (Of a compacted topic it is what compaction has
 * left by the time it is read.) Records without a value are left out; values that are no JSON
 * object are counted, with partition and offset in a reject file. Whether an object is a document
 * is for those to say who read the file.
 *
 * <pre>
 *   F                    all of it, in its place at once
 *   F.unfinished         what there is so far
 *   F.plan               where the topic began and ended, and how far F.unfinished is
 *   F.rejects.jsonl      what is no JSON object
 *   F.lock               is locked as long as somebody writes
 * </pre>
 *
 * The same call goes on where one was cut off.
 */
public final class TopicCorpus {
  private static final Duration TIMEOUT = Duration.ofSeconds(30);
  private static final Duration SAVE_EVERY = Duration.ofSeconds(5);

  /** Numbers keep their exact value. */
  private static final JsonMapper JSON =
      BoundedJson.mapper()
          .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
          .disable(JsonNodeFeature.STRIP_TRAILING_BIGDECIMAL_ZEROES)
          .build();

  private final Clients clients;
  private final String topic;
  private final Path output;
  private final Path unfinished;
  private final Path plan;
  private final Path rejected;
  private final Duration saveEvery;

  /**
   * @param clients of the cluster
   * @param output file that is not there yet
   * @throws InfluenceException if no such file can be written there
   */
  public TopicCorpus(Clients clients, String topic, Path output) {
    this(clients, topic, output, SAVE_EVERY);
  }

  TopicCorpus(Clients clients, String topic, Path output, Duration saveEvery) {
    if (CorpusFile.isCompressed(output)) {
      throw new InfluenceException(
          output + " would be read as a compressed file, but is written as it is. Leave .gz out.");
    }
    OutputPlace.check(output);
    this.clients = clients;
    this.topic = topic;
    this.output = output;
    this.unfinished = output.resolveSibling(output.getFileName() + ".unfinished");
    this.plan = output.resolveSibling(output.getFileName() + ".plan");
    this.rejected = output.resolveSibling(output.getFileName() + ".rejects.jsonl");
    this.saveEvery = saveEvery;
  }

  /** Hears how far it is; called from the thread that collects. */
  public interface Listener {
    /**
     * Records were read.
     *
     * @param offsets how many offsets of the topic are done
     * @param all how many there are
     * @param documents lines written
     */
    void moved(long offsets, long all, long documents);
  }

  /**
   * What the file holds.
   *
   * @param documents lines
   * @param rejected records that are none
   * @param rejects file that lists them, if there are any
   */
  public record Collected(long documents, long rejected, Path rejects) {}

  /**
   * Reads the topic to the end that it had.
   *
   * @throws InfluenceException if the file is there, there is no such topic, records that were
   *     planned are gone, brokers do not answer, or a file can not be written
   */
  @SuppressWarnings("try")
  public Collected collect(Listener listener) {
    try (WriterLock held = alone()) { // not used, but held
      return collectAlone(listener);
    } catch (NoSuchFileException e) {
      throw new InfluenceException(
          "The directory of " + output + " is not there. Make it, or give another --output.", e);
    } catch (IOException e) {
      throw new InfluenceException(
          output + " could not be written " + FileProblem.unwritten(e, output) + ".", e);
    } catch (KafkaException e) {
      throw new InfluenceException(
          "Topic "
              + topic
              + " could not be read ("
              + BrokerTrouble.sentence(clients.connection(), e).orElseGet(() -> deepest(e))
              + "). The same command goes on where this one ended.",
          e);
    }
  }

  /** Until it is closed, nobody else collects. */
  private WriterLock alone() throws IOException {
    return WriterLock.acquire(output.resolveSibling(output.getFileName() + ".lock"))
        .orElseThrow(
            () -> new InfluenceException(output + " is being written by another collection."));
  }

  private static String deepest(Throwable e) {
    Throwable cause = e;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    return String.valueOf(cause.getMessage());
  }

  private Collected collectAlone(Listener listener) throws IOException {
    if (Presence.isThere(output)) {
      return collectedBefore();
    }
    try (Consumer<byte[], byte[]> consumer = clients.reader("whence-corpus")) {
      String id = described().topicId().toString();
      TopicPlan state = Presence.isThere(plan) ? resumed(id) : begun(consumer);
      try (FileChannel file =
          OwnFile.open(unfinished, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
        if (file.size() < state.bytes()) {
          throw new InfluenceException(
              unfinished
                  + " is shorter than "
                  + plan
                  + " says. Remove both: the topic is then read from its beginning.");
        }
        file.truncate(state.bytes()).position(state.bytes());
        state = new Copy(consumer, file, state, listener).run();
      }
      if (!described().topicId().toString().equals(state.topicId())) {
        throw new InfluenceException(
            "Topic "
                + topic
                + " was made anew while it was read. Remove "
                + plan
                + ": it is then read from its beginning.");
      }
      Files.move(unfinished, output, StandardCopyOption.ATOMIC_MOVE);
      Files.delete(plan);
      return collected(state);
    }
  }

  private Collected collected(TopicPlan state) {
    return new Collected(state.documents(), state.rejected(), rejected);
  }

  /** A run that was killed when its file was in place already, and nothing else. */
  private Collected collectedBefore() throws IOException {
    if (Presence.isThere(plan) && !Presence.isThere(unfinished)) {
      TopicPlan state = TopicPlan.read(plan);
      if (state.topic().equals(topic) && state.isDone() && state.bytes() == Files.size(output)) {
        Files.delete(plan);
        return collected(state);
      }
    }
    throw new InfluenceException(output + " is there already. Give another --output.");
  }

  private TopicDescription described() {
    try (Admin admin = clients.admin()) {
      return admin
          .describeTopics(
              List.of(topic), new DescribeTopicsOptions().timeoutMs((int) TIMEOUT.toMillis()))
          .allTopicNames()
          .get()
          .values()
          .iterator()
          .next();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof UnknownTopicOrPartitionException) {
        throw new InfluenceException("There is no topic " + topic + " on these brokers.", e);
      }
      throw new KafkaException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InfluenceException("Interrupted before topic " + topic + " was read.", e);
    }
  }

  private TopicPlan begun(Consumer<byte[], byte[]> consumer) throws IOException {
    TopicDescription described = described();
    List<Range> ranges = new ArrayList<>();
    for (TopicPartitionInfo partition : described.partitions()) {
      PartitionRange now =
          PartitionRange.now(consumer, new TopicPartition(topic, partition.partition()));
      ranges.add(new Range(partition.partition(), now.from(), now.end()));
    }
    ranges.sort(Comparator.comparingInt(Range::partition));
    TopicPlan begun = TopicPlan.begin(topic, described.topicId().toString(), ranges);
    begun.write(plan);
    return begun;
  }

  private TopicPlan resumed(String id) {
    TopicPlan state = TopicPlan.read(plan);
    if (!state.topic().equals(topic) || !state.topicId().equals(id)) {
      throw new InfluenceException(
          plan
              + " is of topic "
              + state.topic()
              + " with id "
              + state.topicId()
              + ", but "
              + topic
              + " has id "
              + id
              + ". Give another --output, or remove "
              + plan
              + ".");
    }
    return state;
  }

  /** One way through the records that are left. */
  private final class Copy {
    private final Consumer<byte[], byte[]> consumer;
    private final FileChannel file;
    private final Listener listener;
    private final RejectFile rejects;
    private TopicPlan state;
    private long saved = System.nanoTime();

    Copy(Consumer<byte[], byte[]> consumer, FileChannel file, TopicPlan state, Listener listener) {
      this.consumer = consumer;
      this.file = file;
      this.state = state;
      this.listener = listener;
      this.rejects = new RejectFile(rejected, state.rejected());
    }

    TopicPlan run() throws IOException {
      for (Range range : state.ranges()) {
        if (range.partition() >= state.partition()) {
          state = state.at(range.partition(), Math.max(range.begin(), state.nextOf(range)));
          partition(range);
        }
      }
      save();
      return state;
    }

    private void partition(Range range) throws IOException {
      TopicPartition partition = new TopicPartition(topic, range.partition());
      try {
        new PartitionRange(partition, state.next(), range.end())
            .read(
                consumer,
                (records, next) -> {
                  for (ConsumerRecord<byte[], byte[]> record : records) {
                    take(record);
                  }
                  state = state.at(range.partition(), next);
                  if (System.nanoTime() - saved >= saveEvery.toNanos()) {
                    save();
                  }
                  listener.moved(state.done(), state.all(), state.documents());
                });
      } catch (OffsetOutOfRangeException e) {
        throw new InfluenceException(
            "Records of "
                + partition
                + " from offset "
                + state.next()
                + " on are gone, which were there when this began. Remove "
                + plan
                + ": the topic is then read from its beginning.",
            e);
      }
    }

    private void take(ConsumerRecord<byte[], byte[]> record) throws IOException {
      if (record.value() == null) {
        return;
      }
      ByteBuffer bytes;
      try {
        bytes = line(record);
      } catch (NoDocumentException e) {
        rejects.add(record.partition(), record.offset(), String.valueOf(e.getMessage()));
        state = state.withRejected();
        return;
      }
      int length = bytes.remaining();
      while (bytes.hasRemaining()) {
        file.write(bytes);
      }
      state = state.withDocument(length);
    }

    private void save() throws IOException {
      file.force(true);
      rejects.save();
      state.write(plan);
      saved = System.nanoTime();
    }
  }

  private ByteBuffer line(ConsumerRecord<byte[], byte[]> record) throws NoDocumentException {
    JsonNode json;
    try {
      json = JSON.readTree(text(record.value()));
    } catch (StreamConstraintsException e) {
      throw new NoDocumentException("the value " + BoundedJson.limits());
    } catch (JsonProcessingException e) {
      throw new NoDocumentException("the value is no JSON");
    } catch (CharacterCodingException e) {
      throw new NoDocumentException("the value is not UTF-8");
    }
    if (!(json instanceof ObjectNode document)) {
      throw new NoDocumentException("the value is no JSON object");
    }
    if (!CorpusFile.isConversation(document) && document.path("id").asText("").isEmpty()) {
      document.put("id", id(record));
    }
    try {
      return StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(document + "\n"));
    } catch (CharacterCodingException e) {
      throw new NoDocumentException("the value has half a character: a lone surrogate");
    }
  }

  private static String id(ConsumerRecord<byte[], byte[]> record) {
    String id = record.topic() + "-" + record.partition() + "@" + record.offset();
    if (record.key() == null) {
      return id;
    }
    try {
      String key = text(record.key());
      return key.isBlank() || key.length() > CorpusFile.LONGEST_ID ? id : key;
    } catch (CharacterCodingException e) {
      return id;
    }
  }

  private static String text(byte[] bytes) throws CharacterCodingException {
    return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
  }

  /** Why a value is no document. */
  private static final class NoDocumentException extends Exception {
    private static final long serialVersionUID = 1L;

    NoDocumentException(String problem) {
      super(problem);
    }
  }
}
