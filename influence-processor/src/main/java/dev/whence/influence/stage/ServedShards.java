package dev.whence.influence.stage;

import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineException;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.lexical.LexicalIndex;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.models.ReleaseTakeOver;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.ModelRelease;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.IntSupplier;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The shards that this process looks through, and their words. Of the index that will be asked,
 * those of its own partitions are opened before the first query asks them: opening a shard reads
 * all of it, for its checksum. Signs are held in memory, as far as there is room, between batches.
 * What serves other partitions is not looked at. Shards of other indexes are opened by the queries
 * that ask them. What is not, or no longer, to be expected is closed when no query has asked for it
 * for a while: partitions that went often come back, as those of a process that is started again.
 * Not thread-safe.
 */
final class ServedShards implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(ServedShards.class);

  /** What no query has asked for so long is closed, unless it is to be expected. */
  static final Duration UNUSED = Duration.ofMinutes(10);

  /** A query may wait for so much of the time that its deadline leaves until a shard is open. */
  private static final double SHARE_OF_TIME = 0.5;

  /** After what took longer, what has come meanwhile is answered before the next. */
  private static final Duration LONG = Duration.ofSeconds(1);

  /** Long enough to fetch what has come. */
  private static final Duration PAUSE = Duration.ofMillis(500);

  /** Shards that queries did not wait for: so many are opened for them, or it is known why not. */
  private static final int AWAITED = 256;

  /** Missing shards that are named in the log. */
  private static final int NAMED = 3;

  private final InfluenceConfig config;
  private final OpenShards shards;
  private final InfluenceMetrics metrics;
  private final InstantSource clock;
  private final IntSupplier partitionsOfQueries;
  private final ReleaseTakeOver.Later later;
  private final LexicalIndex words = new LexicalIndex();

  /** Of the index that will be asked, in order. */
  private List<IndexManifest.Shard> expected = List.of();

  /** Partitions of the topic of queries, as was last heard. */
  private int partitions = 1;

  private Set<Integer> assigned = Set.of();

  /** Shards that queries did not wait for, to be opened one by one, by their checksums. */
  private final Map<String, Supplier<OpenShards.Found>> awaited = new LinkedHashMap<>();

  /** Why such shards could not be opened. */
  private final Map<String, String> reasons =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, String> eldest) {
          return size() > AWAITED;
        }
      };

  /** Whether there are more of those that are to be expected to be opened. */
  private boolean opensExpected;

  /** Whether it is arranged that another shard's signs are held in memory. */
  private boolean holding;

  /** Counts what was to be opened; what an earlier one has left is not. */
  private int openings;

  /**
   * None is open yet.
   *
   * @param partitionsOfQueries asks the brokers
   * @param later runs tasks between two batches
   */
  ServedShards(
      InfluenceConfig config,
      InfluenceMetrics metrics,
      InstantSource clock,
      IntSupplier partitionsOfQueries,
      ReleaseTakeOver.Later later) {
    this.config = config;
    this.metrics = metrics;
    this.clock = clock;
    this.partitionsOfQueries = partitionsOfQueries;
    this.later = later;
    this.shards = new OpenShards(config.files(), config.heldBytes(), clock);
  }

  /**
   * Queries of another release are to be expected, or of the configured model. What can not be
   * opened is only logged: answers say what is missing.
   *
   * @throws EnvironmentException if nobody can say now which index will be asked
   */
  void expect(Optional<ModelRelease> release) {
    try {
      Optional<ModelChoice> choice = ModelChoice.expected(release, config);
      if (choice.isEmpty()) {
        return;
      }
      expected = choice.get().index(config).manifest().shards();
      openExpected();
    } catch (EngineException e) {
      if (e.kind() == EngineException.Kind.ENVIRONMENT) {
        throw new EnvironmentException(String.valueOf(e.getMessage()), e);
      }
      LOG.warn("no shard is opened before the first query: {}", e.getMessage());
    } catch (InfluenceException e) {
      if (e.isOfEnvironment()) {
        throw new EnvironmentException(String.valueOf(e.getMessage()), e);
      }
      LOG.warn("no shard is opened before the first query: {}", e.getMessage());
    } catch (ModelLoadException e) {
      LOG.warn("no shard is opened before the first query: {}", e.getMessage());
    }
  }

  /**
   * Asks how many partitions there are, before any is assigned.
   *
   * @throws EnvironmentException if the brokers do not say
   */
  void begin() {
    partitions = partitionsOfQueries.getAsInt();
  }

  /** Opens the shards of partitions that came; those of partitions that went are used no longer. */
  void assigned(Set<Integer> now) {
    closeUnused(); // those that go count as asked until now
    try {
      partitions = partitionsOfQueries.getAsInt(); // more partitions come with another assignment
    } catch (EnvironmentException e) {
      LOG.warn("partitions are taken to be {}, as before: {}", partitions, e.getMessage());
    }
    assigned = Set.copyOf(now);
    openExpected();
  }

  private boolean isOurs(int shard) {
    return assigned.contains(shard % partitions);
  }

  private void openExpected() {
    closeUnused();
    shards.lookAgain();
    int opening = ++openings;
    opensExpected = true;
    later.run(Duration.ZERO, () -> openNext(1, opening, new ArrayList<>()));
  }

  /**
   * Each is a task of its own: one may take long, and the watchdog knows nothing of their number.
   */
  private void openNext(int from, int opening, List<String> missing) {
    if (opening != openings) {
      return;
    }
    int of = expected.size();
    int number = from;
    while (number <= of && !isOurs(number)) {
      number++;
    }
    if (number > of) {
      tell(missing);
      opensExpected = false;
      closeUnused();
      return;
    }
    long began = System.nanoTime();
    opensExpected = false; // for good, if this fails: the others are opened when they are asked
    if (shards.find(number, of, expected.get(number - 1).checksum())
        instanceof OpenShards.Found.Missing one) {
      missing.add(one.reason());
    }
    opensExpected = true;
    closeUnused();
    int next = number + 1;
    later.run(pauseAfter(began), () -> openNext(next, opening, missing));
  }

  private void tell(List<String> missing) {
    if (!missing.isEmpty()) {
      LOG.warn(
          "{} of the {} shards that this process is to serve are missing: {}",
          missing.size(),
          ours().size(),
          String.join(" ", missing.subList(0, Math.min(NAMED, missing.size()))));
    }
  }

  /** Checksums of the shards that are to be expected here. */
  private Set<String> ours() {
    return IntStream.rangeClosed(1, expected.size())
        .filter(this::isOurs)
        .mapToObj(number -> expected.get(number - 1).checksum())
        .collect(Collectors.toSet());
  }

  /** Whether shards are open that are not to be expected, and so to be closed some time. */
  boolean hasUnexpected() {
    Set<String> ours = ours();
    return shards.open().stream().anyMatch(shard -> !ours.contains(shard.checksum()));
  }

  /** Closes what is no longer in use. */
  void closeUnused() {
    shards.closeUnused(clock.instant().minus(UNUSED), ours());
    words.keep(shards.open());
    count();
    holdLater(Duration.ZERO);
  }

  private void count() {
    metrics.open(shards.open().size(), words.size(), shards.held());
  }

  /** Opening comes first. */
  private void holdLater(Duration pause) {
    if (opensExpected || holding || !shards.couldHold()) {
      return;
    }
    holding = true;
    later.run(
        pause,
        () -> {
          holding = false;
          long began = System.nanoTime();
          shards.holdNext();
          count();
          holdLater(pauseAfter(began));
        });
  }

  private static Duration pauseAfter(long began) {
    return System.nanoTime() - began > LONG.toNanos() ? PAUSE : Duration.ZERO;
  }

  /** Indexes may have come since the last batch. */
  void lookAgain() {
    shards.lookAgain();
  }

  /**
   * Looks for a shard that a query asks, and for its words if they are asked, too. One that takes
   * longer to open than the query can wait is missing, and opened between two batches.
   *
   * @param number from 1
   */
  OpenShards.Found find(AskedQuery query, int number) {
    List<String> checksums = query.record().getShardChecksums();
    OpenShards.Found found =
        shards.find(
            number, checksums.size(), checksums.get(number - 1), () -> secondsToWait(query));
    if (found instanceof OpenShards.Found.TooLong tooLong) {
      openLater(number, checksums.size(), checksums.get(number - 1));
      return new OpenShards.Found.Missing(
          reasons.getOrDefault(
              checksums.get(number - 1),
              "Shard "
                  + number
                  + " of "
                  + checksums.size()
                  + " is being opened: all of its "
                  + tooLong.bytes()
                  + " bytes are checked first, which takes longer than the deadline leaves."));
    }
    if (found instanceof OpenShards.Found.Here here
        && here.shard().settings().sketch().buckets() != query.vector().sketch().length) {
      return new OpenShards.Found.Missing(
          here.shard().path()
              + " has "
              + here.shard().settings().sketch().buckets()
              + " buckets, the query has "
              + query.vector().sketch().length
              + ".");
    }
    if (found instanceof OpenShards.Found.Here here && !query.preselect().isNone()) {
      // Looked at for each query: an index whose words are being built has them a moment later.
      try {
        words.open(here.shard());
      } catch (InfluenceException e) {
        return new OpenShards.Found.Missing(String.valueOf(e.getMessage()));
      }
    }
    return found;
  }

  private double secondsToWait(AskedQuery query) {
    long left = query.record().getDeadline().toEpochMilli() - clock.millis();
    return Math.max(0, left / 1e3 * SHARE_OF_TIME);
  }

  private void openLater(int number, int of, String checksum) {
    boolean goesOn = !awaited.isEmpty();
    if (awaited.size() < AWAITED) {
      awaited.putIfAbsent(checksum, () -> shards.find(number, of, checksum));
    }
    if (!goesOn) {
      later.run(PAUSE, this::openAwaited);
    }
  }

  private void openAwaited() {
    String checksum = awaited.keySet().iterator().next();
    try {
      reasons.remove(checksum);
      OpenShards.Found found = Objects.requireNonNull(awaited.get(checksum)).get();
      if (found instanceof OpenShards.Found.Missing one) {
        LOG.warn("a shard that was asked can not be opened: {}", one.reason());
        reasons.put(checksum, one.reason());
      }
      closeUnused();
    } finally {
      awaited.remove(checksum);
      if (!awaited.isEmpty()) {
        later.run(PAUSE, this::openAwaited);
      }
    }
  }

  /**
   * Documents of a shard that share words with a response and its question, best first.
   *
   * @throws InfluenceException if its words are missing or damaged
   */
  List<LexicalIndex.Hit> best(ShardFile shard, Conversation response, int most) {
    return words.best(shard, response, most);
  }

  @Override
  public void close() {
    words.close();
  }
}
