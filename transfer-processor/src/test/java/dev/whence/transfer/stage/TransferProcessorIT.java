package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.dlq.DeadLetterHeaders;
import dev.whence.schemas.avro.ModelAncestor;
import dev.whence.schemas.avro.ModelKind;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferState;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.ModelFolder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class TransferProcessorIT {
  private static final Duration SOON = Duration.ofSeconds(60);

  private TransferBench bench;

  @BeforeAll
  void open(@TempDir Path directory) throws Exception {
    bench = new TransferBench(directory);
  }

  @AfterAll
  void close() throws Exception {
    bench.close();
  }

  @Test
  void a_request_made_twice_is_one_transfer_with_one_release() throws Exception {
    TransferEvent request = bench.request("chat-2", "target", Map.of());
    bench.send(request);
    bench.send(request);
    try (TransferProcessor processor = bench.start(Map.of())) {
      TransferEvent published = bench.awaitEnd(request.getTransferId());
      assertThat(published.getState()).isEqualTo(TransferState.PUBLISHED);
      assertThat(published.getGates()).hasSize(6).allMatch(gate -> gate.getPassed());
      assertThat(published.getConnectivity()).hasSize(11);
      assertThat(published.getLosses()).hasSize(4);
      // The repeated request is answered with what is true.
      await()
          .atMost(SOON)
          .until(
              () ->
                  bench.states(request.getTransferId()).stream()
                          .filter(state -> state == TransferState.PUBLISHED)
                          .count()
                      == 2);
      await().atMost(SOON).until(processor.health()::isReady);
    }
    assertThat(bench.transfers())
        .filteredOn(event -> event.getState() == TransferState.PROGRESS)
        .filteredOn(event -> event.getTransferId().equals(request.getTransferId()))
        .last()
        .satisfies(
            event ->
                assertThat(event.getBytesMoved()).isPositive().isEqualTo(event.getBytesTotal()));
    List<TransferState> states = new ArrayList<>(bench.states(request.getTransferId()));
    states.removeIf(state -> state == TransferState.PROGRESS);
    assertThat(states)
        .containsExactly(
            TransferState.REQUESTED,
            TransferState.REQUESTED,
            TransferState.STARTED,
            TransferState.GATED,
            TransferState.PUBLISHED,
            TransferState.PUBLISHED);

    List<ModelRelease> releases =
        bench.releases().stream().filter(one -> one.getModelId().equals("chat-2")).toList();
    assertThat(releases).hasSize(1);
    ModelRelease release = releases.get(0);
    Manifest manifest = Manifest.read(Path.of(release.getLocation())).orElseThrow();
    assertThat(release.getKind()).isEqualTo(ModelKind.TRANSFERRED);
    assertThat(release.getRoles()).containsExactly(ModelRole.FAST);
    assertThat(release.getAliases()).containsExactly("acme/chat");
    assertThat(release.getDigest()).isEqualTo(manifest.digest());
    assertThat(release.getLineage())
        .extracting(ModelAncestor::getRelation)
        .containsExactly("fine-tuned", "base", "target");
    assertThat(release.getLineage().get(0).getDigest())
        .isEqualTo(manifest.ancestors().get("fine-tuned").digest());
    assertThat(ModelFolder.floats(Path.of(release.getLocation()), "model.layers.0.a"))
        .hasSize(200_000)
        .containsOnly(4.5f);
    assertThat(bench.report(request))
        .content()
        .contains("<svg")
        .contains("Transfer passed")
        .contains("<th>limit</th>");
  }

  private long published(String transferId) throws Exception {
    return bench.states(transferId).stream().filter(TransferState.PUBLISHED::equals).count();
  }

  private boolean isReleased(String modelId) throws Exception {
    return bench.releases().stream().anyMatch(one -> one.getModelId().equals(modelId));
  }

  @Test
  void a_request_that_was_published_and_rolled_back_publishes_again() throws Exception {
    TransferEvent before = bench.request("chat-r0", "target", Map.of());
    TransferEvent request = bench.request("chat-r1", "target", Map.of());
    bench.send(before);
    bench.send(request);
    try (TransferProcessor processor = bench.start(Map.of())) {
      assertThat(bench.awaitEnd(request.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);

      Rollback.Withdrawn withdrawn = bench.rollback("chat-r1");
      assertThat(withdrawn.transfers()).containsExactly(request.getTransferId());
      assertThat(withdrawn.live()).containsEntry(ModelRole.FAST, Optional.of("chat-r0"));
      assertThat(withdrawn.sentence()).isEqualTo("chat-r1 is withdrawn; FAST: chat-r0 is live");
      assertThat(isReleased("chat-r1")).isFalse();
      List<TransferEvent> all = bench.transfers();
      assertThat(all.get(all.size() - 1))
          .satisfies(
              last -> {
                assertThat(last.getTransferId()).isEqualTo(request.getTransferId());
                assertThat(last.getState()).isEqualTo(TransferState.FAILED);
                assertThat(last.getReason()).startsWith("rolled back: ");
              });

      bench.send(request);
      await().atMost(SOON).until(() -> published(request.getTransferId()) == 2);
      assertThat(isReleased("chat-r1")).isTrue();

      // A tombstone by somebody else says nothing on the transfers' topic.
      bench.withdraw("chat-r1");
      bench.send(request);
      await().atMost(SOON).until(() -> published(request.getTransferId()) == 3);
      assertThat(isReleased("chat-r1")).isTrue();
      assertThat(processor.health().isAlive()).isTrue();
    }
    assertThat(bench.states(request.getTransferId()).stream().filter(TransferState.STARTED::equals))
        .hasSize(3);
  }

  @Test
  void a_request_that_was_repeated_before_a_rollback_does_not_undo_it() throws Exception {
    TransferEvent request = bench.request("chat-q1", "target", Map.of());
    TransferEvent held = bench.request("chat-q2", "target", Map.of());
    TransferEvent last = bench.request("chat-q3", "target", Map.of());
    Path judge = bench.directory.resolve("judge.sh");
    Path hold = bench.directory.resolve("hold");
    Files.writeString(
        judge, "while [ -e " + hold + " ]; do sleep .05; done\n" + Files.readString(judge));
    bench.send(request);
    try (TransferProcessor processor = bench.start(Map.of())) {
      assertThat(bench.awaitEnd(request.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);
      Files.createFile(hold);
      bench.send(held);
      await()
          .atMost(SOON)
          .until(() -> bench.states(held.getTransferId()).contains(TransferState.STARTED));
      bench.send(request); // waits behind the one that is held
      bench.rollback("chat-q1");
      bench.send(last);
      Files.delete(hold);
      assertThat(bench.awaitEnd(last.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);
      assertThat(processor.health().isAlive()).isTrue();
    }
    assertThat(published(request.getTransferId())).isEqualTo(1);
    assertThat(isReleased("chat-q1")).isFalse();
  }

  @Test
  void what_became_of_a_subscriptions_request_is_told_again_before_it_is_forgotten()
      throws Exception {
    bench.newBase("targetkept-3");
    Map<String, String> one =
        Map.of(
            "subscriptions.kept.base", "base",
            "subscriptions.kept.fine-tuned", "fine-tuned",
            "subscriptions.kept.line", "targetkept-.*");
    try (TransferProcessor processor = bench.start(one)) {
      await().atMost(SOON).until(() -> isReleased("fine-tuned-on-targetkept-3"));
      assertThat(processor.health().isAlive()).isTrue();
    }
    List<TransferEvent> before = bench.transfers();
    TransferEvent old =
        TransferEvent.newBuilder(before.get(before.size() - 1))
            .setOccurredAt(Instant.now().minus(Duration.ofDays(40)))
            .build();
    assertThat(old.getState()).isEqualTo(TransferState.PUBLISHED);
    bench.send(old);
    try (TransferProcessor processor = bench.start(one)) {
      await().atMost(SOON).until(() -> bench.transfers().size() == before.size() + 2);
      assertThat(bench.transfers().get(before.size() + 1)).isEqualTo(old);
      assertThat(processor.health().isAlive()).isTrue();
    }
  }

  @Test
  void a_rollback_of_what_is_not_live_is_refused_and_writes_nothing() throws Exception {
    bench.release("alone", ModelKind.FINE_TUNED);
    Rollback.Withdrawn withdrawn = bench.rollback("alone");
    assertThat(withdrawn.transfers()).isEmpty();
    assertThat(withdrawn.sentence()).isEqualTo("alone is withdrawn; it had no role");
    long records = bench.modelRecords();
    for (String modelId : List.of("alone", "never-released")) {
      assertThatThrownBy(() -> bench.rollback(modelId))
          .isInstanceOf(TransferException.class)
          .hasMessageStartingWith(
              "no release of '" + modelId + "' is live on " + bench.topics.models().name());
    }
    assertThat(bench.modelRecords()).isEqualTo(records);
  }

  @Test
  void what_a_subscription_published_and_was_rolled_back_is_not_asked_for_at_the_next_start()
      throws Exception {
    bench.newBase("target-2");
    Map<String, String> two =
        Map.of(
            "subscriptions.half.base", "base",
            "subscriptions.half.fine-tuned", "fine-tuned",
            "subscriptions.half.line", "target-.*",
            "subscriptions.half.result", "half",
            "subscriptions.half.lambda", "0.5",
            "subscriptions.whole.base", "base",
            "subscriptions.whole.fine-tuned", "fine-tuned",
            "subscriptions.whole.line", "target-.*",
            "subscriptions.whole.result", "whole");
    try (TransferProcessor processor = bench.start(two)) {
      await()
          .atMost(SOON)
          .until(() -> isReleased("half-on-target-2") && isReleased("whole-on-target-2"));
      assertThat(processor.health().isAlive()).isTrue();
    }
    assertThat(
            ModelFolder.floats(
                Path.of(bench.releaseOf("half-on-target-2").getLocation()), "model.layers.0.a"))
        .containsOnly(8.25f); // 8 + (1.5 - 1) / 2
    bench.rollback("half-on-target-2");
    TransferEvent next = bench.request("chat-r2", "target", Map.of());
    try (TransferProcessor processor = bench.start(two)) {
      await().atMost(SOON).until(() -> processor.health().isReady());
      bench.send(next);
      assertThat(bench.awaitEnd(next.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);
    }
    assertThat(bench.transfers())
        .filteredOn(event -> event.getState() == TransferState.REQUESTED)
        .extracting(TransferEvent::getRequestedBy)
        .containsOnlyOnce("subscription half", "subscription whole");
    assertThat(isReleased("half-on-target-2")).isFalse();
  }

  @Test
  void a_transfer_that_does_not_pass_is_rejected_with_its_measurements_and_not_published()
      throws Exception {
    TransferEvent request = bench.request("bad-chat", "target", Map.of());
    bench.send(request);
    try (TransferProcessor processor = bench.start(Map.of())) {
      TransferEvent rejected = bench.awaitEnd(request.getTransferId());
      assertThat(processor.health().isAlive()).isTrue();
      assertThat(rejected.getState()).isEqualTo(TransferState.REJECTED);
      assertThat(rejected.getReason()).contains("better than the target: task loss 9.0000");
      assertThat(rejected.getConnectivity()).hasSize(11);
    }
    assertThat(bench.releases()).noneMatch(one -> one.getModelId().equals("bad-chat"));
    assertThat(bench.publishedAs(request)).doesNotExist();
    assertThat(bench.report(request))
        .content()
        .contains("<svg")
        .contains("Transfer rejected")
        .contains("better than the target")
        .contains("<th>limit</th>");
  }

  @Test
  void a_request_that_can_not_be_carried_out_fails_with_all_reasons() throws Exception {
    TransferEvent request =
        bench.request("chat-3", "../outside", Map.of("missing", "perhaps", "speed", "high"));
    bench.send(request);
    try (TransferProcessor processor = bench.start(Map.of())) {
      TransferEvent failed = bench.awaitEnd(request.getTransferId());
      assertThat(processor.health().isAlive()).isTrue();
      assertThat(failed.getState()).isEqualTo(TransferState.FAILED);
      assertThat(failed.getReason())
          .contains("target: ")
          .contains("policy missing is 'perhaps'")
          .contains("there is no policy 'speed'");
    }
  }

  @Test
  void a_killed_processors_transfer_is_resumed_by_its_successor() throws Exception {
    // The judge is slow, so that the kill comes in the middle.
    Path slow = bench.directory.resolve("slow.sh");
    Files.writeString(
        slow, "sleep 1\nexec sh " + bench.directory.resolve("judge.sh") + " \"$1\" \"$2\"\n");
    TransferEvent request = bench.request("chat-4", "target", Map.of());
    bench.send(request);
    Process process = processor(bench.settings(Map.of("gates.judge", "sh," + slow)));
    try {
      await()
          .atMost(SOON)
          .until(() -> bench.states(request.getTransferId()).contains(TransferState.STARTED));
      Thread.sleep(1500);
    } finally {
      process.destroyForcibly().waitFor();
    }
    assertThat(bench.states(request.getTransferId())).doesNotContain(TransferState.PUBLISHED);
    try (TransferProcessor successor = bench.start(Map.of())) {
      assertThat(bench.awaitEnd(request.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);
      assertThat(successor.health().isAlive()).isTrue();
    }
    assertThat(bench.states(request.getTransferId()).stream().filter(TransferState.STARTED::equals))
        .hasSize(1);
    assertThat(bench.releases().stream().filter(one -> one.getModelId().equals("chat-4")))
        .hasSize(1);
  }

  @Test
  void what_is_no_event_goes_to_the_dead_letters_once_and_the_stream_goes_on() throws Exception {
    TransferEvent request = bench.request("chat-5", "target", Map.of());
    List<String> places = new ArrayList<>();
    places.add(bench.sendRaw("garbage", "no event".getBytes(StandardCharsets.UTF_8)));
    places.add(bench.sendRaw("other-key", bench.bytes(request)));
    TransferEvent strange =
        TransferEvent.newBuilder(request)
            .setTransferId("strange")
            .setState(TransferState.UNKNOWN)
            .build();
    places.add(bench.sendRaw("strange", bench.bytes(strange)));
    TransferEvent large =
        TransferEvent.newBuilder(request)
            .setTransferId("large")
            .setAliases(List.of("a".repeat(TransferRecords.LARGEST_REQUEST)))
            .build();
    places.add(bench.sendRaw("large", bench.bytes(large)));
    bench.send(request);
    try (TransferProcessor processor = bench.start(Map.of())) {
      assertThat(bench.awaitEnd(request.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);
      assertThat(processor.health().isAlive()).isTrue();
      // As the last record of its key it would be what compaction keeps of a published transfer.
      bench.sendRaw(request.getTransferId(), new byte[] {0, 1, 2});
      await().atMost(SOON).until(() -> bench.deadLetters().size() == 5);
    }
    List<TransferState> after = bench.states(request.getTransferId());
    assertThat(after.get(after.size() - 1)).isEqualTo(TransferState.PUBLISHED);
    assertThat(after.stream().filter(TransferState.PUBLISHED::equals)).hasSize(2);
    for (String place : places) {
      TransferEvent failed = bench.awaitEnd(place);
      assertThat(failed.getState()).isEqualTo(TransferState.FAILED);
      assertThat(failed.getReason()).isNotEmpty();
    }
    assertThat(bench.releases().stream().filter(one -> one.getModelId().equals("chat-5")))
        .hasSize(1);

    // Whoever comes next reads the whole topic again, and leaves the dead alone.
    TransferEvent next = bench.request("chat-6", "target", Map.of());
    bench.send(next);
    try (TransferProcessor successor = bench.start(Map.of())) {
      assertThat(bench.awaitEnd(next.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);
      assertThat(successor.health().isAlive()).isTrue();
    }
    List<ConsumerRecord<byte[], byte[]>> dead = bench.deadLetters();
    assertThat(dead)
        .extracting(record -> new String(record.key(), StandardCharsets.UTF_8))
        .containsExactly("garbage", "other-key", "strange", "large", request.getTransferId());
    assertThat(dead)
        .extracting(record -> header(record, DeadLetterHeaders.CODE))
        .contains("KEY_MISMATCH", "UNKNOWN_STATE", "TOO_LARGE");
    assertThat(new String(dead.get(0).value(), StandardCharsets.UTF_8)).isEqualTo("no event");
    assertThat(header(dead.get(0), DeadLetterHeaders.TOPIC))
        .isEqualTo(bench.topics.transfers().name());
    assertThat(header(dead.get(0), DeadLetterHeaders.STAGE)).isEqualTo("transfer");
  }

  @Test
  void a_request_that_follows_garbage_under_its_key_is_carried_out() throws Exception {
    // Both wait while another transfer runs, which ends when the file is removed.
    Path hold = Files.writeString(bench.directory.resolve("hold"), "");
    Path judge = bench.directory.resolve("holding.sh");
    Files.writeString(
        judge,
        "while test -e "
            + hold
            + "; do sleep 0.1; done\nexec sh "
            + bench.directory.resolve("judge.sh")
            + " \"$1\" \"$2\"\n");
    TransferEvent running = bench.request("chat-7", "target", Map.of());
    bench.send(running);
    TransferEvent request = bench.request("chat-8", "target", Map.of());
    try (TransferProcessor processor = bench.start(Map.of("gates.judge", "sh," + judge))) {
      await()
          .atMost(SOON)
          .until(() -> bench.states(running.getTransferId()).contains(TransferState.STARTED));
      String place = bench.sendRaw(request.getTransferId(), new byte[] {0, 1, 2});
      bench.send(request);
      Files.delete(hold);
      assertThat(bench.awaitEnd(place).getState()).isEqualTo(TransferState.FAILED);
      assertThat(bench.awaitEnd(request.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);
      assertThat(processor.health().isAlive()).isTrue();
    }
  }

  private static String header(ConsumerRecord<byte[], byte[]> record, String name) {
    return new String(record.headers().lastHeader(name).value(), StandardCharsets.UTF_8);
  }

  /** The processor in a JVM of its own. */
  private static Process processor(Map<String, String> settings) throws Exception {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                ProcessorProcess.class.getName()));
    settings.forEach((key, value) -> command.add(key + "=" + value));
    return new ProcessBuilder(command)
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .start();
  }

  @Test
  void a_subscription_asks_for_the_newest_base_and_not_for_what_transfers_produce()
      throws Exception {
    bench.model("base-2", 8);
    bench.model("base-3", 16);
    bench.release("base", ModelKind.BASE);
    bench.release("fine-tuned", ModelKind.FINE_TUNED);
    bench.release("base-2", ModelKind.BASE);
    bench.release("base-3", ModelKind.BASE);
    try (TransferProcessor processor =
        bench.start(
            Map.of(
                "subscription.base", "base",
                "subscription.fine-tuned", "fine-tuned",
                "subscription.line", ".*base.*",
                "subscription.roles", "fast"))) {
      await()
          .atMost(SOON)
          .pollInterval(Duration.ofMillis(300))
          .until(
              () ->
                  bench.releases().stream()
                      .anyMatch(one -> one.getModelId().equals("fine-tuned-on-base-3")));
      await().atMost(SOON).until(processor.health()::isReady);
    }
    assertThat(bench.transfers())
        .filteredOn(event -> event.getRequestedBy().equals("subscription"))
        .extracting(TransferEvent::getModelId)
        .containsOnly("fine-tuned-on-base-3");
  }
}
