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

  private TransferCluster cluster;

  @BeforeAll
  void open(@TempDir Path directory) throws Exception {
    cluster = new TransferCluster(directory);
  }

  @AfterAll
  void close() throws Exception {
    cluster.close();
  }

  @Test
  void aRequestMadeTwiceIsOneTransferWithOneRelease() throws Exception {
    TransferEvent request = cluster.request("chat-2", "target", Map.of());
    cluster.send(request);
    cluster.send(request);
    try (TransferProcessor processor = cluster.start(Map.of())) {
      TransferEvent published = cluster.awaitEnd(request.getTransferId());
      assertThat(published.getState()).isEqualTo(TransferState.PUBLISHED);
      assertThat(published.getGates()).hasSize(6).allMatch(gate -> gate.getPassed());
      assertThat(published.getConnectivity()).hasSize(11);
      assertThat(published.getLosses()).hasSize(4);
      // The repeated request is answered with what is true.
      await()
          .atMost(SOON)
          .until(
              () ->
                  cluster.states(request.getTransferId()).stream()
                          .filter(state -> state == TransferState.PUBLISHED)
                          .count()
                      == 2);
      await().atMost(SOON).until(processor.health()::isReady);
    }
    assertThat(cluster.transfers())
        .filteredOn(event -> event.getState() == TransferState.PROGRESS)
        .filteredOn(event -> event.getTransferId().equals(request.getTransferId()))
        .last()
        .satisfies(
            event ->
                assertThat(event.getBytesMoved()).isPositive().isEqualTo(event.getBytesTotal()));
    List<TransferState> states = new ArrayList<>(cluster.states(request.getTransferId()));
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
        cluster.releases().stream().filter(one -> one.getModelId().equals("chat-2")).toList();
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
    assertThat(cluster.report(request))
        .content()
        .contains("<svg")
        .contains("Transfer passed")
        .contains("<th>limit</th>");
  }

  private long published(String transferId) throws Exception {
    return cluster.states(transferId).stream().filter(TransferState.PUBLISHED::equals).count();
  }

  private List<String> digestsOf(String modelId) throws Exception {
    return cluster.releases().stream()
        .filter(one -> one.getModelId().equals(modelId))
        .map(ModelRelease::getDigest)
        .toList();
  }

  private boolean isReleased(String modelId) throws Exception {
    return cluster.releases().stream().anyMatch(one -> one.getModelId().equals(modelId));
  }

  @Test
  void aRequestThatWasPublishedAndRolledBackPublishesAgain() throws Exception {
    TransferEvent before = cluster.request("chat-r0", "target", Map.of());
    TransferEvent request = cluster.request("chat-r1", "target", Map.of());
    cluster.send(before);
    cluster.send(request);
    try (TransferProcessor processor = cluster.start(Map.of())) {
      assertThat(cluster.awaitEnd(request.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);

      Rollback.Withdrawn withdrawn = cluster.rollback("chat-r1");
      assertThat(withdrawn.transfers()).containsExactly(request.getTransferId());
      assertThat(withdrawn.live()).containsEntry(ModelRole.FAST, Optional.of("chat-r0"));
      assertThat(withdrawn.sentence()).isEqualTo("chat-r1 is withdrawn; FAST: chat-r0 is live");
      await().until(() -> !isReleased("chat-r1"));
      await()
          .untilAsserted(
              () -> {
                List<TransferEvent> all = cluster.transfers();
                TransferEvent last = all.get(all.size() - 1);
                assertThat(last.getTransferId()).isEqualTo(request.getTransferId());
                assertThat(last.getState()).isEqualTo(TransferState.FAILED);
                assertThat(last.getReason()).startsWith("rolled back: ");
              });

      cluster.send(request);
      await().atMost(SOON).until(() -> published(request.getTransferId()) == 2);
      assertThat(isReleased("chat-r1")).isTrue();

      // A tombstone by somebody else says nothing on the transfers' topic.
      cluster.withdraw("chat-r1");
      cluster.send(request);
      await().atMost(SOON).until(() -> published(request.getTransferId()) == 3);
      assertThat(isReleased("chat-r1")).isTrue();
      assertThat(processor.health().isAlive()).isTrue();
    }
    assertThat(
            cluster.states(request.getTransferId()).stream().filter(TransferState.STARTED::equals))
        .hasSize(3);
  }

  @Test
  void aRepeatedRequestDoesNotReplaceTheModelThatSupersededItsOwn() throws Exception {
    cluster.model("target-corrected", 8);
    TransferEvent earlier = cluster.request("chat-s1", "target", Map.of());
    TransferEvent later = cluster.request("chat-s1", "target-corrected", Map.of());
    try (TransferProcessor processor = cluster.start(Map.of())) {
      cluster.send(earlier);
      String first = cluster.awaitEnd(earlier.getTransferId()).getDigest();
      cluster.send(later);
      String second = cluster.awaitEnd(later.getTransferId()).getDigest();
      assertThat(second).isNotEqualTo(first);

      cluster.send(earlier);
      await().atMost(SOON).until(() -> published(earlier.getTransferId()) == 2);
      assertThat(cluster.states(earlier.getTransferId())).containsOnlyOnce(TransferState.STARTED);
      assertThat(digestsOf("chat-s1")).containsExactly(first, second);

      assertThat(cluster.rollback("chat-s1").transfers())
          .containsExactlyInAnyOrder(earlier.getTransferId(), later.getTransferId());
      cluster.send(earlier);
      await().atMost(SOON).until(() -> published(earlier.getTransferId()) == 3);
      assertThat(digestsOf("chat-s1")).containsExactly(first);
      assertThat(processor.health().isAlive()).isTrue();
    }
  }

  @Test
  void aRequestThatWasRepeatedBeforeARollbackDoesNotUndoIt() throws Exception {
    TransferEvent request = cluster.request("chat-q1", "target", Map.of());
    TransferEvent held = cluster.request("chat-q2", "target", Map.of());
    TransferEvent last = cluster.request("chat-q3", "target", Map.of());
    Path judge = cluster.directory.resolve("judge.sh");
    Path hold = cluster.directory.resolve("hold");
    Files.writeString(
        judge, "while [ -e " + hold + " ]; do sleep .05; done\n" + Files.readString(judge));
    cluster.send(request);
    try (TransferProcessor processor = cluster.start(Map.of())) {
      assertThat(cluster.awaitEnd(request.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);
      Files.createFile(hold);
      cluster.send(held);
      await()
          .atMost(SOON)
          .until(() -> cluster.states(held.getTransferId()).contains(TransferState.STARTED));
      cluster.send(request); // waits behind the one that is held
      cluster.rollback("chat-q1");
      cluster.send(last);
      Files.delete(hold);
      assertThat(cluster.awaitEnd(last.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);
      assertThat(processor.health().isAlive()).isTrue();
    }
    assertThat(published(request.getTransferId())).isEqualTo(1);
    assertThat(isReleased("chat-q1")).isFalse();
  }

  @Test
  void whatBecameOfASubscriptionsRequestIsToldAgainBeforeItIsForgotten() throws Exception {
    cluster.newBase("targetkept-3");
    Map<String, String> one =
        Map.of(
            "subscriptions.kept.base", "base",
            "subscriptions.kept.fine-tuned", "fine-tuned",
            "subscriptions.kept.line", "targetkept-.*");
    try (TransferProcessor processor = cluster.start(one)) {
      await().atMost(SOON).until(() -> isReleased("fine-tuned-on-targetkept-3"));
      assertThat(processor.health().isAlive()).isTrue();
    }
    List<TransferEvent> before = cluster.transfers();
    TransferEvent old =
        TransferEvent.newBuilder(before.get(before.size() - 1))
            .setOccurredAt(Instant.now().minus(Duration.ofDays(40)))
            .build();
    assertThat(old.getState()).isEqualTo(TransferState.PUBLISHED);
    cluster.send(old);
    try (TransferProcessor processor = cluster.start(one)) {
      await().atMost(SOON).until(() -> cluster.transfers().size() == before.size() + 2);
      assertThat(cluster.transfers().get(before.size() + 1)).isEqualTo(old);
      assertThat(processor.health().isAlive()).isTrue();
    }
  }

  @Test
  void aRollbackOfWhatIsNotLiveIsRefusedAndWritesNothing() throws Exception {
    cluster.release("alone", ModelKind.FINE_TUNED);
    Rollback.Withdrawn withdrawn = cluster.rollback("alone");
    assertThat(withdrawn.transfers()).isEmpty();
    assertThat(withdrawn.sentence()).isEqualTo("alone is withdrawn; it had no role");
    long records = cluster.modelRecords();
    for (String modelId : List.of("alone", "never-released")) {
      assertThatThrownBy(() -> cluster.rollback(modelId))
          .isInstanceOf(TransferException.class)
          .hasMessageStartingWith(
              "no release of '" + modelId + "' is live on " + cluster.topics.models().name());
    }
    assertThat(cluster.modelRecords()).isEqualTo(records);
  }

  @Test
  void whatASubscriptionPublishedAndWasRolledBackIsNotAskedForAtTheNextStart() throws Exception {
    cluster.newBase("target-2");
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
    try (TransferProcessor processor = cluster.start(two)) {
      await()
          .atMost(SOON)
          .until(() -> isReleased("half-on-target-2") && isReleased("whole-on-target-2"));
      assertThat(processor.health().isAlive()).isTrue();
    }
    assertThat(
            ModelFolder.floats(
                Path.of(cluster.releaseOf("half-on-target-2").getLocation()), "model.layers.0.a"))
        .containsOnly(8.25f); // 8 + (1.5 - 1) / 2
    cluster.rollback("half-on-target-2");
    TransferEvent next = cluster.request("chat-r2", "target", Map.of());
    try (TransferProcessor processor = cluster.start(two)) {
      await().atMost(SOON).until(() -> processor.health().isReady());
      cluster.send(next);
      assertThat(cluster.awaitEnd(next.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);
    }
    assertThat(cluster.transfers())
        .filteredOn(event -> event.getState() == TransferState.REQUESTED)
        .extracting(TransferEvent::getRequestedBy)
        .containsOnlyOnce("subscription half", "subscription whole");
    assertThat(isReleased("half-on-target-2")).isFalse();
  }

  @Test
  void aTransferThatDoesNotPassIsRejectedWithItsMeasurementsAndNotPublished() throws Exception {
    TransferEvent request = cluster.request("bad-chat", "target", Map.of());
    cluster.send(request);
    try (TransferProcessor processor = cluster.start(Map.of())) {
      TransferEvent rejected = cluster.awaitEnd(request.getTransferId());
      assertThat(processor.health().isAlive()).isTrue();
      assertThat(rejected.getState()).isEqualTo(TransferState.REJECTED);
      assertThat(rejected.getReason()).contains("better than the target: task loss 9.0000");
      assertThat(rejected.getConnectivity()).hasSize(11);
    }
    assertThat(cluster.releases()).noneMatch(one -> one.getModelId().equals("bad-chat"));
    assertThat(cluster.publishedAs(request)).doesNotExist();
    assertThat(cluster.report(request))
        .content()
        .contains("<svg")
        .contains("Transfer rejected")
        .contains("better than the target")
        .contains("<th>limit</th>");
  }

  @Test
  void aRequestThatCanNotBeCarriedOutFailsWithAllReasons() throws Exception {
    TransferEvent request =
        cluster.request("chat-3", "../outside", Map.of("missing", "perhaps", "speed", "high"));
    cluster.send(request);
    try (TransferProcessor processor = cluster.start(Map.of())) {
      TransferEvent failed = cluster.awaitEnd(request.getTransferId());
      assertThat(processor.health().isAlive()).isTrue();
      assertThat(failed.getState()).isEqualTo(TransferState.FAILED);
      assertThat(failed.getReason())
          .contains("target: ")
          .contains("policy missing is 'perhaps'")
          .contains("there is no policy 'speed'");
    }
  }

  @Test
  void aKilledProcessorsTransferIsResumedByItsSuccessor() throws Exception {
    // The judge is slow, so that the kill comes in the middle.
    Path slow = cluster.directory.resolve("slow.sh");
    Files.writeString(
        slow, "sleep 1\nexec sh " + cluster.directory.resolve("judge.sh") + " \"$1\" \"$2\"\n");
    TransferEvent request = cluster.request("chat-4", "target", Map.of());
    cluster.send(request);
    Process process = processor(cluster.settings(Map.of("gates.judge", "sh," + slow)));
    try {
      await()
          .atMost(SOON)
          .until(() -> cluster.states(request.getTransferId()).contains(TransferState.STARTED));
      Thread.sleep(1500);
    } finally {
      process.destroyForcibly().waitFor();
    }
    assertThat(cluster.states(request.getTransferId())).doesNotContain(TransferState.PUBLISHED);
    try (TransferProcessor successor = cluster.start(Map.of())) {
      assertThat(cluster.awaitEnd(request.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);
      assertThat(successor.health().isAlive()).isTrue();
    }
    assertThat(
            cluster.states(request.getTransferId()).stream().filter(TransferState.STARTED::equals))
        .hasSize(1);
    assertThat(cluster.releases().stream().filter(one -> one.getModelId().equals("chat-4")))
        .hasSize(1);
  }

  @Test
  void whatIsNoEventGoesToTheDeadLettersOnceAndTheStreamGoesOn() throws Exception {
    int before = cluster.deadLetters().size(); // of other tests
    TransferEvent request = cluster.request("chat-5", "target", Map.of());
    List<String> places = new ArrayList<>();
    places.add(cluster.sendRaw("garbage", "no event".getBytes(StandardCharsets.UTF_8)));
    places.add(cluster.sendRaw("other-key", cluster.bytes(request)));
    TransferEvent strange =
        TransferEvent.newBuilder(request)
            .setTransferId("strange")
            .setState(TransferState.UNKNOWN)
            .build();
    places.add(cluster.sendRaw("strange", cluster.bytes(strange)));
    TransferEvent large =
        TransferEvent.newBuilder(request)
            .setTransferId("large")
            .setAliases(List.of("a".repeat(TransferRecords.LARGEST_REQUEST)))
            .build();
    places.add(cluster.sendRaw("large", cluster.bytes(large)));
    cluster.send(request);
    try (TransferProcessor processor = cluster.start(Map.of())) {
      assertThat(cluster.awaitEnd(request.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);
      assertThat(processor.health().isAlive()).isTrue();
      // As the last record of its key it would be what compaction keeps of a published transfer.
      cluster.sendRaw(request.getTransferId(), new byte[] {0, 1, 2});
      await().atMost(SOON).until(() -> cluster.deadLetters().size() == before + 5);
    }
    List<TransferState> after = cluster.states(request.getTransferId());
    assertThat(after.get(after.size() - 1)).isEqualTo(TransferState.PUBLISHED);
    assertThat(after.stream().filter(TransferState.PUBLISHED::equals)).hasSize(2);
    for (String place : places) {
      TransferEvent failed = cluster.awaitEnd(place);
      assertThat(failed.getState()).isEqualTo(TransferState.FAILED);
      assertThat(failed.getReason()).isNotEmpty();
    }
    assertThat(cluster.releases().stream().filter(one -> one.getModelId().equals("chat-5")))
        .hasSize(1);

    // Whoever comes next reads the whole topic again, and leaves the dead alone.
    TransferEvent next = cluster.request("chat-6", "target", Map.of());
    cluster.send(next);
    try (TransferProcessor successor = cluster.start(Map.of())) {
      assertThat(cluster.awaitEnd(next.getTransferId()).getState())
          .isEqualTo(TransferState.PUBLISHED);
      assertThat(successor.health().isAlive()).isTrue();
    }
    List<ConsumerRecord<byte[], byte[]>> all = cluster.deadLetters();
    List<ConsumerRecord<byte[], byte[]>> dead = all.subList(before, all.size());
    assertThat(dead)
        .extracting(record -> new String(record.key(), StandardCharsets.UTF_8))
        .containsExactly("garbage", "other-key", "strange", "large", request.getTransferId());
    assertThat(dead)
        .extracting(record -> header(record, DeadLetterHeaders.CODE))
        .contains("KEY_MISMATCH", "UNKNOWN_STATE", "TOO_LARGE");
    assertThat(new String(dead.get(0).value(), StandardCharsets.UTF_8)).isEqualTo("no event");
    assertThat(header(dead.get(0), DeadLetterHeaders.TOPIC))
        .isEqualTo(cluster.topics.transfers().name());
    assertThat(header(dead.get(0), DeadLetterHeaders.STAGE)).isEqualTo("transfer");
  }

  @Test
  void aRequestThatFollowsGarbageUnderItsKeyIsCarriedOut() throws Exception {
    // Both wait while another transfer runs, which ends when the file is removed.
    Path hold = Files.writeString(cluster.directory.resolve("hold"), "");
    Path judge = cluster.directory.resolve("holding.sh");
    Files.writeString(
        judge,
        "while test -e "
            + hold
            + "; do sleep 0.1; done\nexec sh "
            + cluster.directory.resolve("judge.sh")
            + " \"$1\" \"$2\"\n");
    TransferEvent running = cluster.request("chat-7", "target", Map.of());
    cluster.send(running);
    TransferEvent request = cluster.request("chat-8", "target", Map.of());
    try (TransferProcessor processor = cluster.start(Map.of("gates.judge", "sh," + judge))) {
      await()
          .atMost(SOON)
          .until(() -> cluster.states(running.getTransferId()).contains(TransferState.STARTED));
      String place = cluster.sendRaw(request.getTransferId(), new byte[] {0, 1, 2});
      cluster.send(request);
      Files.delete(hold);
      assertThat(cluster.awaitEnd(place).getState()).isEqualTo(TransferState.FAILED);
      assertThat(cluster.awaitEnd(request.getTransferId()).getState())
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
  void aSubscriptionAsksForTheNewestBaseAndNotForWhatTransfersProduce() throws Exception {
    cluster.model("base-2", 8);
    cluster.model("base-3", 16);
    cluster.release("base", ModelKind.BASE);
    cluster.release("fine-tuned", ModelKind.FINE_TUNED);
    cluster.release("base-2", ModelKind.BASE);
    cluster.release("base-3", ModelKind.BASE);
    try (TransferProcessor processor =
        cluster.start(
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
                  cluster.releases().stream()
                      .anyMatch(one -> one.getModelId().equals("fine-tuned-on-base-3")));
      await().atMost(SOON).until(processor.health()::isReady);
    }
    assertThat(cluster.transfers())
        .filteredOn(event -> event.getRequestedBy().equals("subscription"))
        .extracting(TransferEvent::getModelId)
        .containsOnly("fine-tuned-on-base-3");
  }
}
