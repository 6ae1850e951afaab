package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.conversation.Conversation;
import dev.whence.influence.query.DocumentInfluence;
import dev.whence.influence.query.InfluenceResult;
import dev.whence.influence.query.QueryOptions;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCause;
import dev.whence.schemas.avro.InfluenceStatus;
import dev.whence.schemas.avro.InfluentialDocument;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/** Responses in, influences out, on a broker. */
class InfluenceProcessorIT {
  private static final Duration SOON = Duration.ofSeconds(60);

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private Path data;

  private InfluenceBench bench;
  private Topics topics;

  @BeforeEach
  void open() throws Exception {
    bench = InfluenceBench.shared();
    topics = bench.topics();
  }

  private List<Influence> await(int count) {
    org.awaitility.Awaitility.await()
        .atMost(SOON)
        .pollInterval(Duration.ofMillis(200))
        .until(() -> bench.influences(topics).size() >= count);
    List<Influence> all = bench.influences(topics);
    assertThat(all).hasSize(count);
    return all;
  }

  @Test
  void whatComesOutIsWhatTheSearchOnFilesSaysOfTheSameResponse() throws Exception {
    Conversation response = InfluenceBench.answered("r-1", 0);
    try (InfluenceProcessor processor = bench.start(topics, data, Map.of())) {
      bench.respond(topics, response);
      Influence influence = await(1).get(0);
      assertThat(processor.health().isReady()).isTrue();
      assertThat(influence.getResponseId()).isEqualTo("r-1");
      assertThat(influence.getReason()).isEmpty();
      assertThat(influence.getStatus()).isEqualTo(InfluenceStatus.SCORED);
      assertThat(influence.getCause()).isEqualTo(InfluenceCause.SAMPLED);
      sameAsOnFiles(
          influence, bench.searched(response, QueryOptions.DEFAULT.withTop(40).withRerank(40)));
    }
  }

  private static void sameAsOnFiles(Influence influence, InfluenceResult expected) {
    List<DocumentInfluence> wanted = new ArrayList<>(expected.positive());
    wanted.addAll(expected.negative());
    assertThat(influence.getMethod()).isEqualTo(expected.method());
    assertThat(influence.getLogLikelihood()).isCloseTo(expected.logLikelihood(), within(1e-4));
    assertThat(influence.getResponseTokens()).isEqualTo(expected.responseTokens());
    assertThat(influence.getDocuments())
        .extracting(InfluentialDocument::getId)
        .containsExactlyElementsOf(wanted.stream().map(one -> one.document().id()).toList());
    double largest = Math.abs(wanted.get(0).influence());
    for (int i = 0; i < wanted.size(); i++) {
      InfluentialDocument document = influence.getDocuments().get(i);
      assertThat(document.getExact()).isTrue();
      assertThat(document.getInfluence())
          .isCloseTo(wanted.get(i).influence(), within(1e-5 * largest));
      assertThat(document.getEstimate())
          .isCloseTo(wanted.get(i).estimate(), within(2e-3 * wanted.get(i).standardError()));
      assertThat(document.getStandardError())
          .isCloseTo(wanted.get(i).standardError(), within(1e-6 * largest));
      assertThat(document.getExcerpt()).isEqualTo(wanted.get(i).document().excerpt());
      assertThat(document.getLine()).isEqualTo(wanted.get(i).document().reference().line());
    }
    assertThat(influence.getCoverage().getShare()).isEqualTo(1);
    assertThat(influence.getCoverage().getShards()).isEqualTo(InfluenceBench.SHARDS);
    assertThat(influence.getCoverage().getDocuments()).isEqualTo(InfluenceBench.DOCUMENTS);
    assertThat(influence.getCoverage().getDocumentsScanned()).isEqualTo(InfluenceBench.DOCUMENTS);
  }
}
