package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.conversation.Conversation;
import dev.whence.runtime.config.Settings;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceStatus;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/** Every part killed under load, in a JVM of its own. */
class InfluenceKillIT {
  private static final Duration SOON = Duration.ofSeconds(90);
  private static final int WAVE = 16;

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private Path directory;

  private InfluenceCluster cluster;
  private Topics topics;
  private final List<Process> processes = new ArrayList<>();
  private int sent;

  private Map<String, String> settings(String roles, String instance) throws Exception {
    Map<String, String> more = new HashMap<>();
    more.put("roles", roles);
    more.put("instance.id", instance);
    more.put("batch.max-records", "3");
    more.put("query.top", "5");
    more.put("query.rerank", "5");
    return cluster.settings(topics, directory.resolve(instance), more);
  }

  private Process start(String role) throws Exception {
    Process process = ProcessorProcess.start(directory, role, settings(role, role + "-1"));
    processes.add(process);
    return process;
  }

  private void wave() {
    Conversation[] responses = new Conversation[WAVE];
    for (int i = 0; i < WAVE; i++, sent++) {
      responses[i] = InfluenceCluster.answered("r-" + sent, sent);
    }
    cluster.respond(topics, responses);
  }

  private static void awaitUntil(Callable<Boolean> condition) {
    await().atMost(SOON).pollInterval(Duration.ofMillis(200)).until(condition);
  }

  private int results() {
    return cluster.influences(topics).size();
  }

  /** Kills a process in the middle of a wave: some results of it are there, and some are not. */
  private void kill(Process process) throws Exception {
    int before = results();
    wave();
    awaitUntil(() -> results() >= before + 2);
    process.destroyForcibly().waitFor();
    assertThat(results()).as("killed in the middle").isLessThan(sent);
  }

  /** The same of the query stage: some queries are written, and some are not. */
  private void killQuery(Process process) throws Exception {
    int before = queries();
    wave();
    awaitUntil(() -> queries() > before);
    process.destroyForcibly().waitFor();
    assertThat(queries()).as("killed in the middle").isLessThan(sent);
  }

  private int queries() {
    Set<String> ids = new HashSet<>();
    for (var record : cluster.read(topics.influenceQueries().name())) {
      ids.add(new String(record.key(), StandardCharsets.UTF_8));
    }
    return ids.size();
  }

  /**
   * Each is started anew under its name, as in deployment: whoever reads committed records only
   * would else wait for the transaction that the dead one left open.
   */
  @Test
  void whicheverPartIsKilledNothingIsLostOrDoubledAndCoverageIsTrue() throws Exception {
    cluster = InfluenceCluster.shared();
    topics = cluster.topics();
    Process query = start("query");
    Process shards = start("shards");
    Process merge = start("merge");
    try (InfluenceProcessor here =
        InfluenceProcessor.start(
            InfluenceConfig.read(Settings.of(settings("shards", "here-0"))), Map.of())) {
      killQuery(query);
      start("query");
      kill(shards);
      start("shards");
      kill(merge);
      start("merge");
      awaitUntil(() -> results() >= sent);
      List<Influence> all = cluster.influences(topics);
      assertThat(all).hasSize(sent);
      assertThat(all).extracting(Influence::getResponseId).doesNotHaveDuplicates();
      assertThat(all)
          .allSatisfy(
              one -> {
                assertThat(one.getStatus()).isEqualTo(InfluenceStatus.SCORED);
                assertThat(one.getCoverage().getShare()).isEqualTo(1);
                assertThat(one.getCoverage().getDocumentsScanned())
                    .isEqualTo(InfluenceCluster.DOCUMENTS);
                assertThat(one.getDocuments()).isNotEmpty();
              });
      assertThat(here.health().isAlive()).isTrue();
    } finally {
      processes.forEach(Process::destroyForcibly);
    }
  }
}
