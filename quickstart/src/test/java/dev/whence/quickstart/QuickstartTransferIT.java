package dev.whence.quickstart;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.whence.samples.BundledModels;
import dev.whence.schemas.EventHeaders;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.AttributionPhase;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.ModelKind;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ScoringStatus;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferState;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The bundled models and the next version of their base, in a JVM of its own. */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
class QuickstartTransferIT {
  @TempDir Path models;
  @TempDir Path data;

  @Test
  void theNextBaseGetsTheFineTuningWhileTrafficGoesOnAndAnUnrelatedDifferenceIsRejected()
      throws Exception {
    Process process = Launched.everything(data, models);
    List<String> lines = new ArrayList<>();
    try (BufferedReader output = process.inputReader()) {
      lines.addAll(Launched.linesUntil(output, "transfer         (rejected|failed): "));
      assertThat(lines.get(lines.size() - 1)).contains("unrelated");
      if (lines.stream().noneMatch(line -> line.contains("is the first that"))) {
        lines.addAll(Launched.linesUntil(output, "is the first that"));
      }
      lines.addAll(Launched.linesUntil(output, "  running: "));
      assertThat(peakResidentMegabytes(process)).isBetween(100L, 2048L);
      process.destroy(); // SIGTERM, as Ctrl-C
      assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
    } finally {
      process.destroyForcibly();
    }

    assertThat(lines.stream().filter(line -> line.startsWith("transfer ")))
        .satisfiesExactlyInAnyOrder(
            line -> assertThat(line).contains("announced: base-v2"),
            line -> assertThat(line).contains("merged: base-v2 + (chat-v1 - base-v1)"),
            line -> assertThat(line).contains("gated: 6 of 6 gates passed").contains("(base-v2)"),
            line -> assertThat(line).contains("published: chat-v1-on-base-v2, digest "),
            line -> assertThat(line).contains("asked for: "),
            line -> assertThat(line).contains("is the first that"),
            // The ends of the way are good models: between them is a hill.
            line ->
                assertThat(line)
                    .contains("rejected: unrelated-on-base-v2 (failed: connectivity")
                    .contains("task loss on the way to it "));

    List<TransferEvent> transfers =
        DataDirectories.records(data, "whence.transfers", TransferEvent.class).stream()
            .map(ConsumerRecord::value)
            .toList();
    TransferEvent published = in(transfers, TransferState.PUBLISHED);
    TransferEvent rejected = in(transfers, TransferState.REJECTED);
    assertThat(published.getRequestedBy()).isEqualTo("subscription");
    assertThat(rejected.getConnectivity()).hasSize(11);
    assertThat(rejected.getBarrierTask()).isGreaterThan(1);
    ModelRelease release =
        DataDirectories.records(data, "whence.models", ModelRelease.class).stream()
            .map(ConsumerRecord::value)
            .filter(one -> one.getKind() == ModelKind.TRANSFERRED)
            .findFirst()
            .orElseThrow();
    assertThat(release.getDigest()).isEqualTo(published.getDigest());
    // What the quickstart itself announces and asks for is a CloudEvent, as everything else.
    assertThat(DataDirectories.records(data, "whence.models", ModelRelease.class))
        .allMatch(one -> isCloudEvent(one, "dev.whence.ModelRelease.v1"));
    assertThat(DataDirectories.records(data, "whence.transfers", TransferEvent.class))
        .allMatch(one -> isCloudEvent(one, "dev.whence.TransferEvent.v1"));

    // Every attribution names the model that made it, and there are two of the target, in turn.
    List<Attribution> attributions =
        DataDirectories.records(data, "whence.attributions", Attribution.class).stream()
            .sorted(Comparator.comparingLong(ConsumerRecord::timestamp))
            .map(ConsumerRecord::value)
            .toList();
    Map<AttributionPhase, List<Attribution>> byPhase =
        attributions.stream().collect(Collectors.groupingBy(Attribution::getPhase));
    // Nothing was measured of the proxy yet: it says what it thinks, and the model has the word.
    assertThat(byPhase.get(AttributionPhase.PROVISIONAL))
        .isNotEmpty()
        .allMatch(one -> one.getScorer().getModel().equals(BundledModels.PROXY))
        .allMatch(one -> one.getScorer().getSurrogate());
    List<Attribution> finals = byPhase.get(AttributionPhase.FINAL);
    assertThat(finals)
        .hasSizeGreaterThan(5)
        .allMatch(one -> one.getStatus() == ScoringStatus.SCORED)
        .allMatch(one -> !one.getScorer().getDigest().isEmpty());
    List<Attribution> target = finals.stream().filter(one -> one.getRevision() == 1).toList();
    List<String> digests =
        target.stream().map(one -> one.getScorer().getDigest()).distinct().toList();
    assertThat(digests).hasSize(2).last().isEqualTo(published.getDigest());
    int taken =
        (int)
            target.stream()
                .filter(one -> one.getScorer().getDigest().equals(digests.get(0)))
                .count();
    assertThat(target.subList(taken, target.size()))
        .isNotEmpty()
        .allMatch(one -> one.getScorer().getDigest().equals(published.getDigest()))
        .allMatch(one -> one.getScorer().getModel().equals("chat-v1-on-base-v2"));
    // The application answers with what scores: only what was on its way met the other model.
    assertThat(target.stream().filter(one -> one.getScorer().getSurrogate()).count())
        .isLessThanOrEqualTo(1);
    // Each response has its one final attribution; at the end one may have been on its way.
    Set<String> answered =
        finals.stream().map(Attribution::getResponseId).collect(Collectors.toSet());
    assertThat(answered).hasSameSizeAs(finals);
    assertThat(
            DataDirectories.records(data, "whence.responses", LlmResponse.class).stream()
                .filter(one -> !answered.contains(one.key())))
        .hasSizeLessThanOrEqualTo(1);
  }

  private static boolean isCloudEvent(ConsumerRecord<?, ?> record, String type) {
    Header header = record.headers().lastHeader(EventHeaders.TYPE);
    return header != null && new String(header.value(), StandardCharsets.UTF_8).equals(type);
  }

  private static TransferEvent in(List<TransferEvent> transfers, TransferState state) {
    List<TransferEvent> found =
        transfers.stream().filter(event -> event.getState() == state).toList();
    assertThat(found).hasSize(1);
    return found.get(0);
  }

  /** Where the system says it. */
  private static long peakResidentMegabytes(Process process) throws IOException {
    Path status = Path.of("/proc", Long.toString(process.pid()), "status");
    assumeThat(status).exists();
    return Files.readAllLines(status).stream()
        .filter(line -> line.startsWith("VmHWM:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) / 1024)
        .findFirst()
        .orElseThrow();
  }
}
