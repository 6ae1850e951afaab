package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceStatus;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/** Every part killed under load, in a JVM of its own. */
class InfluenceKillIT {
  private static final Duration SOON = Duration.ofSeconds(90);
  private static final int WAVE = 12;

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private Path directory;

  private InfluenceBench bench;
  private Topics topics;
  private final List<Process> processes = new ArrayList<>();
  private int sent;

  private Process start(String role, String instance) throws Exception {
    Map<String, String> more = new HashMap<>();
    more.put("roles", role);
    more.put("instance.id", instance);
    more.put("batch.max-records", "3");
    more.put("query.top", "5");
    more.put("query.rerank", "5");
    Process process =
        ProcessorProcess.start(
            directory, instance, bench.settings(topics, directory.resolve(instance), more));
    processes.add(process);
    return process;
  }

  private void wave() {
    for (int i = 0; i < WAVE; i++, sent++) {
      bench.respond(topics, InfluenceBench.answered("r-" + sent, sent));
    }
  }

  private void awaitResults(int atLeast) {
    await()
        .atMost(SOON)
        .pollInterval(Duration.ofMillis(300))
        .until(() -> bench.influences(topics).size() >= atLeast);
  }

  /** Kills a process in the middle of a wave. */
  private void kill(Process process) throws Exception {
    int before = bench.influences(topics).size();
    wave();
    awaitResults(before + 2);
    process.destroyForcibly().waitFor();
    assertThat(bench.influences(topics).size()).as("killed in the middle").isLessThan(sent);
  }

  @Test
  void whicheverPartIsKilledNothingIsLostOrDoubledAndCoverageIsTrue() throws Exception {
    bench = InfluenceBench.shared();
    topics = bench.topics();
    try {
      Process query = start("query", "query-0");
      Process shards = start("shards", "shards-0");
      Process merge = start("merge", "merge-0");
      Process otherShards = start("shards", "shards-1");
      kill(shards);
      start("shards", "shards-0");
      awaitResults(sent);
      kill(merge);
      start("merge", "merge-0");
      awaitResults(sent);
      kill(query);
      start("query", "query-0");
      awaitResults(sent);
      List<Influence> all = bench.influences(topics);
      assertThat(all).hasSize(sent);
      assertThat(all).extracting(Influence::getResponseId).doesNotHaveDuplicates();
      assertThat(all)
          .allSatisfy(
              one -> {
                assertThat(one.getStatus()).isEqualTo(InfluenceStatus.SCORED);
                assertThat(one.getCoverage().getShare()).isEqualTo(1);
                assertThat(one.getCoverage().getDocumentsScanned())
                    .isEqualTo(InfluenceBench.DOCUMENTS);
                assertThat(one.getDocuments()).isNotEmpty();
              });
      assertThat(otherShards.isAlive()).isTrue();
    } finally {
      processes.forEach(Process::destroyForcibly);
    }
  }
}
