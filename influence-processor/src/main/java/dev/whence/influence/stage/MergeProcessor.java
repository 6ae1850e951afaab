package dev.whence.influence.stage;

import dev.whence.schemas.EventHeaders;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceMerge;
import dev.whence.schemas.avro.InfluenceOpening;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.PartialKind;
import dev.whence.schemas.avro.ShardAnswer;
import dev.whence.schemas.avro.ShardStatus;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.Cancellable;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.jspecify.annotations.Nullable;

/**
 * The life of a query in the merger:
 *
 * <pre>
 *   OPEN -> answers, each shard once -> all shards have answered, or the deadline has passed
 *        -> one Influence, and a marker that the query is closed
 *        -> 10 minutes later: forgotten
 * </pre>
 *
 * <ul>
 *   <li>A shard counts once, however often it answers; only one that was MISSING may still be
 *       SCANNED.
 *   <li>The same query asked again while it is open waits for the later of both deadlines, though
 *       never longer than {@link AskedQuery#LATEST_DEADLINE} from when it was opened.
 *   <li>Answers that come after the result are only counted. The same query asked again is, too,
 *       unless its result lacked shards: then it is opened anew.
 *   <li>Deadlines stand in the store and are kept by the wall clock, every 50 ms.
 *   <li>A deadline that has passed closes a query only when what was written before it has been
 *       read: a later record was, or the partition has been silent for 2 s. After an outage answers
 *       lie in the topic, and are waited for.
 *   <li>Open queries take a bounded place in memory: beyond it the oldest is closed early, and its
 *       result says so.
 *   <li>No shard answers: there is a result all the same.
 * </ul>
 */
final class MergeProcessor implements Processor<String, InfluencePartial, String, Influence> {
  static final Duration CLOSED_FOR = Duration.ofMinutes(10);
  static final Duration LOOK_EVERY = Duration.ofMillis(50);

  /** A partition that has been silent for so long has no more to say. */
  static final Duration SILENT_FOR = Duration.ofSeconds(2);

  /** Whoever did not look for so long was away, and does not know what was said meanwhile. */
  private static final Duration AWAY = Duration.ofSeconds(1);

  /** Of one query in its store: its changelog takes 16 MiB. */
  private static final int LARGEST_STATE_BYTES = 12 << 20;

  /** Of a result: its topic takes 8 MiB. */
  private static final int LARGEST_RESULT_BYTES = 7 << 20;

  /** Of all answers that wait for a question; it comes before them, but for loss and lies. */
  static final int LARGEST_UNOPENED_BYTES = 32 << 20;

  private static final Duration FORGET_EVERY = Duration.ofSeconds(10);
  static final String STAGE = "influence-merge";

  private final Settings settings;
  private final InfluenceMetrics metrics;

  /** When the last record was written, as far as records were read; never in the future. */
  private long readUpTo;

  /** When something was last heard, and when it was last looked whether. */
  private long heardAt;

  private long lookedAt;

  /** Of the last {@link #init}: a task that is begun again still has those of the one before. */
  private final List<Cancellable> schedules = new ArrayList<>();

  /** Set by {@link #init}, before anything else is called. */
  private @Nullable ProcessorContext<String, Influence> context;

  private @Nullable OpenQueries open;
  private @Nullable KeyValueStore<String, InfluenceMerge> closed;

  /**
   * What a merger must know.
   *
   * @param instance of this process, for headers
   * @param openBytes that open queries of a partition may take in memory, more than one takes
   */
  record Settings(String instance, long openBytes) {}

  MergeProcessor(Settings settings, InfluenceMetrics metrics) {
    this.settings = settings;
    this.metrics = metrics;
  }

  /** Called again where a task is begun again: stores and offsets then go back, all else must. */
  @Override
  public void init(ProcessorContext<String, Influence> given) {
    context = given;
    open = new OpenQueries(given.getStateStore(MergeTopology.OPEN_STORE));
    closed = given.getStateStore(MergeTopology.CLOSED_STORE);
    readUpTo = Long.MIN_VALUE;
    heardAt = given.currentSystemTimeMs();
    lookedAt = heardAt;
    schedules.forEach(Cancellable::cancel);
    schedules.clear();
    schedules.add(
        given.schedule(LOOK_EVERY, PunctuationType.WALL_CLOCK_TIME, this::closeThoseThatAreDue));
    schedules.add(given.schedule(FORGET_EVERY, PunctuationType.WALL_CLOCK_TIME, this::forget));
  }

  private ProcessorContext<String, Influence> context() {
    return Objects.requireNonNull(context, "not initialised");
  }

  private OpenQueries open() {
    return Objects.requireNonNull(open, "not initialised");
  }

  private KeyValueStore<String, InfluenceMerge> closed() {
    return Objects.requireNonNull(closed, "not initialised");
  }

  @Override
  public void process(Record<String, InfluencePartial> record) {
    String queryId = record.key();
    InfluencePartial partial = record.value();
    long now = context().currentSystemTimeMs();
    heardAt = now;
    readUpTo = Math.max(readUpTo, Math.min(record.timestamp(), now));
    if (queryId == null || partial == null || queryId.length() > QueryId.LONGEST) {
      metrics.ignored("no_key");
    } else if (partial.getKind() == PartialKind.OPEN) {
      opened(queryId, partial.getOpen());
    } else {
      answered(queryId, partial);
    }
  }

  private void opened(String queryId, InfluenceOpening opening) {
    InfluenceMerge before = closed().get(queryId);
    if (before != null) {
      if (before.getComplete()) {
        metrics.ignored("asked_again");
        return;
      }
      closed().delete(queryId);
    }
    InfluenceMerge merge = open().get(queryId);
    if (merge != null && merge.getOpen() != null) {
      askedAgain(merge, opening);
      return;
    }
    InfluenceMerge.Builder next = merge == null ? known(queryId) : InfluenceMerge.newBuilder(merge);
    Instant deadline = bounded(opening.getDeadline(), now());
    go(next.setOpen(InfluenceOpening.newBuilder(opening).setDeadline(deadline).build()).build());
  }

  /** Waits for the later deadline; all else stays what it was when it was first asked. */
  private void askedAgain(InfluenceMerge merge, InfluenceOpening again) {
    InfluenceOpening before = merge.getOpen();
    Instant deadline = bounded(again.getDeadline(), merge.getSince());
    if (!deadline.isAfter(before.getDeadline())) {
      metrics.ignored("asked_again");
      return;
    }
    InfluenceOpening later = InfluenceOpening.newBuilder(before).setDeadline(deadline).build();
    go(InfluenceMerge.newBuilder(merge).setOpen(later).build());
  }

  /**
   * A later deadline than any that is asked for would keep what is known for as long, and who asks
   * again and again would never have a result while a shard is dead.
   *
   * @param since now, where it is opened: answers before it may have come long ago, as before an
   *     outage, and it would have no time; when it was first heard of, where it is asked again
   */
  private static Instant bounded(Instant deadline, Instant since) {
    Instant latest = since.plus(AskedQuery.LATEST_DEADLINE);
    return deadline.isAfter(latest) ? latest : deadline;
  }

  private void answered(String queryId, InfluencePartial answer) {
    if (closed().get(queryId) != null) {
      metrics.ignored("late");
      return;
    }
    InfluenceMerge before = open().get(queryId);
    InfluenceMerge.Builder merge =
        before == null ? known(queryId) : InfluenceMerge.newBuilder(before);
    int shards = merge.getOpen() == null ? AskedShards.MOST : merge.getOpen().getShards();
    Optional<List<InfluencePartial>> answers = with(merge.getAnswers(), answer, shards);
    if (answers.isEmpty()) {
      metrics.ignored("duplicate");
      return;
    }
    InfluenceMerge next = merge.setAnswers(answers.get()).build();
    if (next.getOpen() == null
        && (Fitting.size(next) > LARGEST_STATE_BYTES
            || open().unopenedBytesWith(next) > LARGEST_UNOPENED_BYTES)) {
      metrics.ignored("never_asked");
      return;
    }
    go(next);
  }

  private InfluenceMerge.Builder known(String queryId) {
    return InfluenceMerge.newBuilder().setQueryId(queryId).setAnswers(List.of()).setSince(now());
  }

  private Instant now() {
    return Instant.ofEpochMilli(context().currentSystemTimeMs()).truncatedTo(ChronoUnit.MILLIS);
  }

  /**
   * Answers with one more, without what it says twice.
   *
   * @param shards of the index; what is said of others is not heard
   * @return empty if it says nothing new
   */
  private static Optional<List<InfluencePartial>> with(
      List<InfluencePartial> before, InfluencePartial answer, int shards) {
    Map<Integer, ShardStatus> known = new HashMap<>();
    for (InfluencePartial one : before) {
      one.getShards().forEach(shard -> known.put(shard.getShard(), shard.getStatus()));
    }
    Set<Integer> news = new HashSet<>();
    for (ShardAnswer shard : answer.getShards()) {
      ShardStatus status = known.get(shard.getShard());
      if (shard.getShard() <= shards
          && (status == null
              || (status != ShardStatus.SCANNED && shard.getStatus() == ShardStatus.SCANNED))) {
        news.add(shard.getShard());
      }
    }
    if (news.isEmpty()) {
      return Optional.empty();
    }
    List<InfluencePartial> answers = new ArrayList<>();
    for (InfluencePartial one : before) {
      answers.add(only(one, one.getShards().stream().filter(s -> !news.contains(s.getShard()))));
    }
    answers.add(only(answer, answer.getShards().stream().filter(s -> news.contains(s.getShard()))));
    return Optional.of(answers);
  }

  private static InfluencePartial only(
      InfluencePartial answer, java.util.stream.Stream<ShardAnswer> kept) {
    List<ShardAnswer> shards = kept.toList();
    if (shards.size() == answer.getShards().size()) {
      return answer;
    }
    Set<Integer> numbers = new HashSet<>();
    shards.forEach(shard -> numbers.add(shard.getShard()));
    return InfluencePartial.newBuilder(answer)
        .setShards(shards)
        .setDocuments(
            answer.getDocuments().stream()
                .filter(document -> numbers.contains(document.getShard()))
                .toList())
        .build();
  }

  /** Closes a query whose shards have all answered; keeps any other, while there is room. */
  private void go(InfluenceMerge merge) {
    if (merge.getOpen() != null && complete(merge, false)) {
      close(merge, MergedInfluence.Closed.IN_TIME);
      return;
    }
    Optional<InfluenceMerge> kept = Fitting.state(merge, LARGEST_STATE_BYTES);
    if (kept.isEmpty()) {
      metrics.ignored("too_large"); // what was kept before stays
      return;
    }
    open().put(kept.get());
    for (Optional<InfluenceMerge> oldest = open().oldestBeyond(settings.openBytes());
        oldest.isPresent();
        oldest = open().oldestBeyond(settings.openBytes())) {
      metrics.closedEarly();
      close(oldest.get(), MergedInfluence.Closed.EARLY);
    }
  }

  /** Whether every shard has answered, or even been scanned. */
  private static boolean complete(InfluenceMerge merge, boolean scanned) {
    Set<Integer> answered = new HashSet<>();
    for (InfluencePartial answer : merge.getAnswers()) {
      for (ShardAnswer shard : answer.getShards()) {
        if (!scanned || shard.getStatus() == ShardStatus.SCANNED) {
          answered.add(shard.getShard());
        }
      }
    }
    for (int shard = 1; shard <= merge.getOpen().getShards(); shard++) {
      if (!answered.contains(shard)) {
        return false;
      }
    }
    return true;
  }

  private void close(InfluenceMerge merge, MergedInfluence.Closed closed) {
    Influence result =
        Fitting.result(
            MergedInfluence.of(merge.getOpen(), merge.getAnswers(), closed), LARGEST_RESULT_BYTES);
    RecordHeaders headers = new RecordHeaders();
    EventHeaders.of(
            result.getSchema(),
            STAGE,
            settings.instance(),
            result.getResponseId(),
            0,
            result.getTraceparent())
        .toMap()
        .forEach(headers::add);
    context()
        .forward(
            new Record<>(result.getResponseId(), result, context().currentSystemTimeMs(), headers));
    metrics.ended(result.getStatus());
    open().delete(merge.getQueryId());
    closed()
        .put(
            merge.getQueryId(),
            known(merge.getQueryId())
                .setComplete(
                    complete(merge, true)
                        && merge.getAnswers().stream().allMatch(one -> one.getNote().isEmpty()))
                .build());
  }

  private void closeThoseThatAreDue(long now) {
    if (now - lookedAt > AWAY.toMillis()) {
      heardAt = now;
    }
    lookedAt = now;
    boolean silent = now - heardAt >= SILENT_FOR.toMillis();
    long before = silent ? now + 1 : Math.min(now + 1, readUpTo);
    for (Optional<InfluenceMerge> due = open().dueBefore(before);
        due.isPresent();
        due = open().dueBefore(before)) {
      if (due.get().getOpen() == null) {
        metrics.ignored("never_asked");
        open().delete(due.get().getQueryId());
      } else {
        close(due.get(), MergedInfluence.Closed.IN_TIME);
      }
    }
  }

  private void forget(long now) {
    List<String> old = new ArrayList<>();
    try (KeyValueIterator<String, InfluenceMerge> all = closed().all()) {
      while (all.hasNext()) {
        KeyValue<String, InfluenceMerge> one = all.next();
        if (one.value.getSince().plus(CLOSED_FOR).toEpochMilli() <= now) {
          old.add(one.key);
        }
      }
    }
    old.forEach(closed()::delete);
  }
}
