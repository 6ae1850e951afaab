package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.stage.BrokerGate.Passage;
import dev.whence.attribution.stage.BrokerGate.Stop;
import dev.whence.attribution.stage.BrokerGate.Way;
import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.dlq.DeadLetterHeaders;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Kind;
import dev.whence.samples.QuestionOptions;
import dev.whence.samples.Questions;
import dev.whence.samples.World;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.AttributionPhase;
import dev.whence.schemas.avro.Escalation;
import dev.whence.schemas.avro.ScoringStatus;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.protocol.ApiKeys;

/**
 * Responses of the sample world, the real processor in JVMs of its own, and what the broker says
 * about both. Everything between the processes and the broker passes a {@link BrokerGate}.
 */
final class FaultRun implements AutoCloseable {
  /** Generous: a machine that others keep busy is slow, and nothing here is about speed. */
  static final Duration LONGEST = Duration.ofMinutes(4);

  /**
   * Share of the responses that are scored where both roles are at work; others are sampled out.
   */
  static final double SCORED_BY_BOTH = 0.75;

  /** A member that was killed is given up after so long. */
  private static final String SESSION_MILLIS = "4000";

  private static final String HEARTBEAT_MILLIS = "500";
  private static final Duration SELDOM = Duration.ofMillis(100);
  private static final String OFFSETS = "__consumer_offsets";
  private static final Pattern BEGUN_TO = Pattern.compile("(?:to|restTo)=(\\d+)");

  /** Broker and gate of this JVM. */
  private record Place(BrokerGate gate, AttributionCluster cluster) {}

  private static final List<Place> OPEN = new ArrayList<>();

  final BrokerGate gate;
  private final AttributionCluster cluster;
  private final Topics topics;
  private final GroupProtocol protocol;
  private final Path directory;
  private final Path model;
  private final Admin admin;
  private final List<Conversation> responses;
  private final List<Process> processes = new CopyOnWriteArrayList<>();
  private final Map<String, Role> roles = new ConcurrentHashMap<>();
  private int sent;
  private int besides;

  private FaultRun(Place place, GroupProtocol protocol, int responses, Path directory)
      throws IOException {
    this.gate = place.gate;
    this.cluster = place.cluster;
    this.topics = cluster.topics();
    this.protocol = protocol;
    this.directory = directory;
    this.model = BundledModels.unpack(BundledModels.CHAT);
    this.admin = Admin.create(Map.of("bootstrap.servers", gate.address()));
    this.responses = new ArrayList<>(responses(responses));
  }

  /**
   * Opens a run with fresh topics.
   *
   * @param responses how many there are to send
   * @param directory for logs and settings of the processes
   */
  static FaultRun open(GroupProtocol protocol, int responses, Path directory) throws IOException {
    return new FaultRun(shared(), protocol, responses, directory);
  }

  private static synchronized Place shared() throws IOException {
    if (OPEN.isEmpty()) {
      BrokerGate gate = BrokerGate.open();
      Map<String, String> config = new HashMap<>(gate.advertised());
      config.put("group.min.session.timeout.ms", "1000");
      config.put("group.consumer.min.session.timeout.ms", "1000");
      config.put("group.consumer.session.timeout.ms", SESSION_MILLIS);
      config.put("group.consumer.min.heartbeat.interval.ms", HEARTBEAT_MILLIS);
      config.put("group.consumer.heartbeat.interval.ms", HEARTBEAT_MILLIS);
      AttributionCluster cluster = AttributionCluster.open(config);
      gate.leadTo(cluster.broker.port());
      OPEN.add(new Place(gate, cluster));
      Runtime.getRuntime()
          .addShutdownHook(
              new Thread(
                  () -> {
                    try {
                      cluster.close();
                      gate.close();
                    } catch (IOException e) {
                      throw new UncheckedIOException(e);
                    }
                  }));
    }
    return OPEN.get(0);
  }

  /** Questions of all kinds about unseen worlds, with the right answers. */
  private static List<Conversation> responses(int count) {
    Questions questions =
        new Questions(
            World.v1(1), QuestionOptions.evaluation(7, Kind.values()).withSentences(8, 12));
    return IntStream.range(0, count).mapToObj(i -> questions.question(i).answered()).toList();
  }

  /** Sends the next so many responses. */
  void send(int count) {
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    for (Conversation response : responses.subList(sent, sent + count)) {
      records.add(
          AttributionCluster.record(
              topics.responses().name(), response.responseId(), cluster.avro(topics, response)));
    }
    cluster.send(records);
    sent += count;
  }

  /** Of the responses that are not sent yet, those of these partitions are sent next. */
  void bringForward(Set<TopicPartition> partitions) {
    responses
        .subList(sent, responses.size())
        .sort(Comparator.comparing(one -> !partitions.contains(partition(one))));
  }

  private TopicPartition partition(Conversation response) {
    byte[] key = response.responseId().getBytes(StandardCharsets.UTF_8);
    return new TopicPartition(
        topics.responses().name(), BuiltInPartitioner.partitionForKey(key, partitions()));
  }

  /** Sends the next so many responses to an idle instance that sees them all at once. */
  void sendAtOnce(String instance, int count) throws InterruptedException {
    Stop asksAgain = stop(instance, ApiKeys.FETCH, Way.RESPONSE, 0);
    assertThat(asksAgain.isReachedWithin(LONGEST)).as("%s reads", instance).isTrue();
    send(count);
    asksAgain.release();
  }

  /** Sends a response that is none of those that the run was opened with. */
  void sendBesides(Conversation response) {
    cluster.send(
        List.of(
            AttributionCluster.record(
                topics.responses().name(), response.responseId(), cluster.avro(topics, response))));
    besides++;
  }

  /** The first question with its right answer, so often that it is very long. */
  Conversation longWinded(String id, int times) {
    Conversation one = responses.get(0);
    return Conversation.builder(id)
        .model(one.model())
        .occurredAt(one.occurredAt())
        .messages(one.messages())
        .response((one.response() + " ").repeat(times))
        .build();
  }

  /** Sends what is left. */
  void sendRest() {
    send(responses.size() - sent);
  }

  /** Client id, and transactional id, of an instance that was started. */
  String client(String instance) {
    return group(role(instance)) + "-" + instance;
  }

  private Role role(String instance) {
    Role role = roles.get(instance);
    assertThat(role).as("the role of %s, which was started", instance).isNotNull();
    return role;
  }

  private String group(Role role) {
    return AttributionCluster.prefix(topics) + role.defaultGroup();
  }

  /** Starts a processor in a JVM of its own. */
  Process start(String instance, Map<String, String> more) throws IOException {
    return start(Role.FAST, instance, more);
  }

  /** The same in one of the two roles. */
  Process start(Role role, String instance, Map<String, String> more) throws IOException {
    roles.put(instance, role);
    Map<String, String> settings = new HashMap<>();
    settings.put("role", role.name().toLowerCase(Locale.ROOT));
    settings.put("kafka.bootstrap.servers", gate.address());
    settings.put("registry.url", cluster.registry.url());
    settings.put("topics.prefix", AttributionCluster.prefix(topics));
    settings.put("group", group(role));
    settings.put("group.protocol", protocol.name().toLowerCase(Locale.ROOT));
    if (protocol == GroupProtocol.CLASSIC) {
      settings.put("consumer.session.timeout.ms", SESSION_MILLIS);
      settings.put("consumer.heartbeat.interval.ms", HEARTBEAT_MILLIS);
    }
    settings.put("instance.id", instance);
    settings.put("http.port", "-1");
    settings.put("model", model.toString());
    settings.put("engine.dtype", "fp32");
    settings.put("engine.device", "cpu");
    settings.put("backoff.first", "100ms");
    settings.put("backoff.most", "500ms");
    settings.putAll(more);
    Process process = ProcessorProcess.start(directory, instance, settings);
    processes.add(process);
    return process;
  }

  /** topic-partition-offset of a response that was sent. */
  String place(Conversation response) {
    return cluster.read(topics.responses().name()).stream()
        .filter(one -> new String(one.key(), StandardCharsets.UTF_8).equals(response.responseId()))
        .map(one -> one.topic() + "-" + one.partition() + "-" + one.offset())
        .collect(Collectors.joining());
  }

  /** What an instance has logged. */
  String log(String instance) throws IOException {
    return Files.readString(directory.resolve(instance + ".log"));
  }

  /** The process ends by itself, with a status. */
  void awaitExit(Process process, int status) throws InterruptedException {
    processes.remove(process);
    assertThat(process.waitFor(LONGEST.toSeconds(), TimeUnit.SECONDS))
        .as("the process ends by itself")
        .isTrue();
    assertThat(process.exitValue()).isEqualTo(status);
  }

  /** {@code kill -9}. */
  void kill(Process process) throws InterruptedException {
    assertThat(process.isAlive()).as("the process that is to be killed lives").isTrue();
    processes.remove(process);
    process.destroyForcibly().waitFor();
  }

  /** SIGTERM; the process has to end by itself. */
  void terminate(Process process) throws InterruptedException {
    assertThat(process.isAlive()).as("the process that is to end lives").isTrue();
    processes.remove(process);
    process.destroy();
    assertThat(process.waitFor(LONGEST.toSeconds(), TimeUnit.SECONDS))
        .as("the process ends when it is told to")
        .isTrue();
  }

  void restartBroker() throws IOException {
    cluster.broker.stop();
    cluster.broker.start();
  }

  /** How often a client's request, or the answer to it, has come to the gate. */
  int passed(String instance, ApiKeys api, Way way) {
    return gate.passed(new Passage(client(instance), api, way));
  }

  /** Stops a client's request, or the answer to it, at the gate; so many of the kind pass first. */
  Stop stop(String instance, ApiKeys api, Way way, int before) {
    return gate.stop(new Passage(client(instance), api, way), before);
  }

  /** How many responses are committed as done. */
  long done() {
    return committed(Role.FAST).values().stream().mapToLong(OffsetAndMetadata::offset).sum();
  }

  void awaitDone(long count) {
    awaitAlive(() -> done() >= count);
  }

  /** Waits for something that the processes bring about that were not ended. */
  void awaitAlive(BooleanSupplier condition) {
    awaitAlive(SELDOM, condition);
  }

  private void awaitAlive(Duration every, BooleanSupplier condition) {
    await()
        .atMost(LONGEST)
        .pollInterval(every)
        .until(
            () -> condition.getAsBoolean() || processes.stream().anyMatch(one -> !one.isAlive()));
    assertThat(condition.getAsBoolean())
        .as("the processes live and do their work; their logs are in %s", directory)
        .isTrue();
  }

  /** Waits until all that was sent is done. */
  void awaitAllDone() {
    awaitDone(sent + besides);
  }

  /** Per partition one past the last record that was begun and not committed. */
  Map<TopicPartition, Long> begun() {
    return begun(Role.FAST);
  }

  /** The same of what a role reads. */
  Map<TopicPartition, Long> begun(Role role) {
    Map<TopicPartition, Long> begun = new HashMap<>();
    committed(role)
        .forEach(
            (partition, offset) ->
                BEGUN_TO
                    .matcher(offset.metadata())
                    .results()
                    .map((MatchResult to) -> Long.parseLong(to.group(1)))
                    .max(Long::compare)
                    .filter(to -> to > offset.offset())
                    .ifPresent(to -> begun.put(partition, to)));
    return begun;
  }

  /** Waits until these offsets are committed. */
  void awaitDone(Map<TopicPartition, Long> offsets) {
    awaitDone(Role.FAST, offsets);
  }

  /** The same of what a role reads. */
  void awaitDone(Role role, Map<TopicPartition, Long> offsets) {
    awaitAlive(() -> reached(role, offsets) == offsets.size());
  }

  /** How many of these offsets are committed. */
  long reached(Map<TopicPartition, Long> offsets) {
    return reached(Role.FAST, offsets);
  }

  private long reached(Role role, Map<TopicPartition, Long> offsets) {
    Map<TopicPartition, OffsetAndMetadata> committed = committed(role);
    return offsets.entrySet().stream()
        .filter(
            wanted -> {
              OffsetAndMetadata at = committed.get(wanted.getKey());
              return at != null && at.offset() >= wanted.getValue();
            })
        .count();
  }

  private Map<TopicPartition, OffsetAndMetadata> committed(Role role) {
    return get(admin.listConsumerGroupOffsets(group(role)).partitionsToOffsetAndMetadata());
  }

  /** How many partitions each member of the group has. */
  List<Integer> assigned() {
    return members().stream().map(member -> member.assignment().topicPartitions().size()).toList();
  }

  /** The partitions that an instance has; empty as long as the group says none. */
  Set<TopicPartition> assignedTo(String instance) {
    return members().stream()
        .filter(member -> member.clientId().equals(client(instance)))
        .flatMap(member -> member.assignment().topicPartitions().stream())
        .collect(Collectors.toSet());
  }

  private Collection<MemberDescription> members() {
    String group = group(Role.FAST);
    return get(admin.describeConsumerGroups(List.of(group)).all()).get(group).members();
  }

  int partitions() {
    return topics.responses().partitions();
  }

  /** What is open between an instance and the broker. */
  enum Transaction {
    NONE,
    /** The last one is committed. */
    COMMITTED,
    /** Results are written, readers of committed records do not see them. */
    RESULTS_WRITTEN,
    /** And the offsets are in the transaction. */
    OFFSETS_WRITTEN
  }

  /** The transaction that an instance has left open, as the broker has it. */
  Transaction transaction(String instance) {
    TransactionDescription said =
        get(admin.describeTransactions(List.of(client(instance))).description(client(instance)));
    if (said.state() == TransactionState.PREPARE_COMMIT
        || said.state() == TransactionState.COMPLETE_COMMIT) {
      return Transaction.COMMITTED;
    }
    if (said.state() != TransactionState.ONGOING) {
      return Transaction.NONE;
    }
    assertThat(unstable()).as("results that only readers of everything see").isPositive();
    return said.topicPartitions().stream().anyMatch(one -> one.topic().equals(OFFSETS))
        ? Transaction.OFFSETS_WRITTEN
        : Transaction.RESULTS_WRITTEN;
  }

  /** How many offsets of what the processors write read_committed readers do not reach. */
  private long unstable() {
    List<TopicPartition> partitions = new ArrayList<>();
    for (var topic :
        List.of(
            topics.attributions(),
            topics.escalations(),
            topics.agreements(),
            topics.deadLettersOf(topics.responses()),
            topics.deadLettersOf(topics.escalations()))) {
      IntStream.range(0, topic.partitions())
          .forEach(i -> partitions.add(new TopicPartition(topic.name(), i)));
    }
    return end(partitions, IsolationLevel.READ_UNCOMMITTED)
        - end(partitions, IsolationLevel.READ_COMMITTED);
  }

  private long end(List<TopicPartition> partitions, IsolationLevel isolation) {
    Map<TopicPartition, OffsetSpec> latest =
        partitions.stream().collect(Collectors.toMap(one -> one, one -> OffsetSpec.latest()));
    return get(admin.listOffsets(latest, new ListOffsetsOptions(isolation)).all()).values().stream()
        .mapToLong(ListOffsetsResultInfo::offset)
        .sum();
  }

  /**
   * Every response has exactly one attribution, final and scored, with the scores that it has
   * without Kafka; nothing was given up, and no transaction is left.
   *
   * @param step one in so many is scored again, undisturbed
   */
  void assertEachScoredOnce(int step) {
    assertThat(sent).as("all responses were sent").isEqualTo(responses.size());
    List<Attribution> attributions = cluster.attributions(topics);
    Map<String, Long> times =
        attributions.stream()
            .collect(Collectors.groupingBy(Attribution::getResponseId, Collectors.counting()));
    assertThat(responses.stream().filter(one -> !times.containsKey(one.responseId())))
        .as("lost")
        .isEmpty();
    assertThat(times.entrySet().stream().filter(one -> one.getValue() > 1)).as("doubled").isEmpty();
    assertThat(attributions).hasSameSizeAs(responses);
    assertThat(attributions)
        .allSatisfy(
            one -> {
              assertThat(one.getPhase()).isEqualTo(AttributionPhase.FINAL);
              assertThat(one.getStatus()).isEqualTo(ScoringStatus.SCORED);
            });
    assertNothingLeft();
    assertUndisturbed(attributions, step);
  }

  /** Waits until each response that was sent has a final attribution. */
  void awaitAllFinal() {
    awaitAlive(
        Duration.ofSeconds(1), // each look reads the whole topic
        () -> finals(cluster.attributions(topics)).size() >= sent);
  }

  private static List<Attribution> finals(List<Attribution> attributions) {
    return attributions.stream().filter(one -> one.getPhase() == AttributionPhase.FINAL).toList();
  }

  private static Set<String> ids(List<Attribution> attributions) {
    Set<String> ids = new HashSet<>();
    for (Attribution one : attributions) {
      assertThat(ids.add(one.getResponseId())).as("%s comes once", one.getResponseId()).isTrue();
    }
    return ids;
  }

  /**
   * With both roles at work, and all that has sources handed on: every response has exactly one
   * final attribution; those of the FAST role are sampled out or without sources, each of the
   * others has one provisional attribution and one escalation before it, which the target has
   * scored as it does without Kafka. Nothing was given up, and no transaction is left.
   *
   * @param step one in so many is scored again, undisturbed
   */
  void assertEachFinalOnceWithBothRoles(int step) {
    assertThat(sent).as("all responses were sent").isEqualTo(responses.size());
    List<Attribution> attributions = cluster.attributions(topics);
    List<Attribution> finals = finals(attributions);
    assertThat(ids(finals))
        .as("one final attribution each")
        .isEqualTo(responses.stream().map(Conversation::responseId).collect(Collectors.toSet()));
    List<Attribution> byTarget = finals.stream().filter(one -> one.getRevision() == 1).toList();
    List<Attribution> byFast = finals.stream().filter(one -> one.getRevision() == 0).toList();
    assertThat(byTarget).isNotEmpty();
    assertThat(byFast).isNotEmpty();
    assertThat(byTarget.size() + byFast.size()).isEqualTo(finals.size());
    assertThat(byFast)
        .allSatisfy(
            one -> {
              boolean sampledOut = Sampling.share(one.getResponseId()) >= SCORED_BY_BOTH;
              assertThat(one.getStatus())
                  .isEqualTo(sampledOut ? ScoringStatus.SAMPLED_OUT : ScoringStatus.SCORED);
              assertThat(one.getSources()).isEmpty();
            });
    List<Attribution> provisional = new ArrayList<>(attributions);
    provisional.removeAll(finals);
    assertThat(provisional).allMatch(one -> one.getPhase() == AttributionPhase.PROVISIONAL);
    assertThat(ids(provisional)).as("handed on, and closed").isEqualTo(ids(byTarget));
    assertThat(cluster.escalations(topics))
        .extracting(Escalation::getResponseId)
        .containsExactlyInAnyOrderElementsOf(ids(byTarget));
    assertThat(byTarget)
        .allSatisfy(one -> assertThat(one.getStatus()).isEqualTo(ScoringStatus.SCORED))
        .allSatisfy(one -> assertThat(one.getFlags()).doesNotContain(TargetStage.FAILED));
    assertThat(cluster.read(topics.agreements().name()))
        .extracting(record -> new String(record.key(), StandardCharsets.UTF_8))
        .doesNotHaveDuplicates()
        .hasSize((int) byTarget.stream().filter(one -> one.getAgreed() != null).count());
    assertThat(cluster.read(topics.deadLettersOf(topics.escalations()).name()))
        .as("dead letters of escalations")
        .isEmpty();
    assertThat(begun(Role.TARGET)).as("escalations begun and not done").isEmpty();
    assertNothingLeft();
    assertUndisturbed(byTarget, step);
  }

  private void assertNothingLeft() {
    assertThat(cluster.read(topics.deadLettersOf(topics.responses()).name()))
        .as("dead letters")
        .isEmpty();
    assertThat(done()).isEqualTo(responses.size());
    assertThat(begun()).as("begun and not done").isEmpty();
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(
            () ->
                assertThat(get(admin.listTransactions().all()))
                    .filteredOn(
                        one -> one.transactionalId().startsWith(AttributionCluster.prefix(topics)))
                    .extracting(TransactionListing::state)
                    .allMatch(
                        state ->
                            state == TransactionState.COMPLETE_COMMIT
                                || state == TransactionState.COMPLETE_ABORT
                                || state == TransactionState.EMPTY));
    assertThat(unstable()).as("offsets that readers of committed records do not reach").isZero();
  }

  /** All are scored once but one, which has failed and lies in the dead letter queue. */
  void assertGivenUp(String responseId, String code) {
    List<Attribution> attributions = cluster.attributions(topics);
    assertThat(attributions)
        .filteredOn(one -> one.getResponseId().equals(responseId))
        .singleElement()
        .satisfies(
            one -> {
              assertThat(one.getPhase()).isEqualTo(AttributionPhase.FINAL);
              assertThat(one.getStatus()).isEqualTo(ScoringStatus.FAILED);
              assertThat(one.getReasonCode()).isEqualTo(code);
            });
    assertThat(attributions)
        .filteredOn(one -> one.getStatus() == ScoringStatus.SCORED)
        .extracting(Attribution::getResponseId)
        .containsExactlyInAnyOrderElementsOf(
            responses.stream().map(Conversation::responseId).toList());
    assertThat(attributions).hasSize(responses.size() + 1);
    assertThat(cluster.read(topics.deadLettersOf(topics.responses()).name()))
        .singleElement()
        .satisfies(
            dead -> {
              assertThat(new String(dead.key(), StandardCharsets.UTF_8)).isEqualTo(responseId);
              assertThat(
                      new String(
                          dead.headers().lastHeader(DeadLetterHeaders.CODE).value(),
                          StandardCharsets.UTF_8))
                  .isEqualTo(code);
            });
    assertThat(begun()).as("begun and not done").isEmpty();
  }

  private void assertUndisturbed(List<Attribution> attributions, int step) {
    Map<String, Attribution> published =
        attributions.stream()
            .collect(Collectors.toMap(Attribution::getResponseId, Function.identity()));
    List<Conversation> these =
        responses.stream().filter(one -> published.containsKey(one.responseId())).toList();
    try (LocalScorer scorer =
        LocalScorer.open(
            ModelFiles.open(model),
            EngineOptions.defaults().withDtype(EngineOptions.Dtype.FP32).withDevice("cpu"))) {
      Attributor attributor = new Attributor(scorer, AttributionOptions.DEFAULT);
      int sources = 0;
      for (int i = 0; i < these.size(); i += step) {
        AttributionResult expected = attributor.attribute(these.get(i));
        Attribution one = published.get(these.get(i).responseId());
        assertThat(one.getScorer().getDigest()).isEqualTo(scorer.description().digest());
        assertThat(one.getLogLikelihood())
            .isCloseTo(expected.logLikelihood().getAsDouble(), within(1e-3));
        assertThat(one.getSources()).hasSameSizeAs(expected.sources());
        for (int source = 0; source < expected.sources().size(); source++, sources++) {
          assertThat(one.getSources().get(source).getTau())
              .isCloseTo(expected.sources().get(source).tau(), within(1e-3));
        }
      }
      assertThat(sources).as("scores that were compared").isPositive();
    }
  }

  private static <T> T get(KafkaFuture<T> future) {
    try {
      return future.get(LONGEST.toSeconds(), TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while the broker was asked", e);
    } catch (ExecutionException | java.util.concurrent.TimeoutException e) {
      throw new IllegalStateException("the broker did not answer", e);
    }
  }

  @Override
  public void close() {
    admin.close(Duration.ofSeconds(5));
    processes.forEach(process -> process.destroyForcibly().onExit().join());
  }
}
