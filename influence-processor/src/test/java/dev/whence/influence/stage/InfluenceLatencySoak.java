package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.influence.SampleCorpus;
import dev.whence.runtime.kafka.Clients;
import dev.whence.samples.Document;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Influence;
import java.io.BufferedWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Event in to merged and re-ranked result out, one query at a time, with broker and all parts in
 * one JVM. The documents are those of tiny-base, again and again under other names.
 */
class InfluenceLatencySoak {
  private static final int DOCUMENTS = Integer.getInteger("whence.documents", 100_000);

  /** 0: as the index job has it by default. */
  private static final int BUCKETS = Integer.getInteger("whence.buckets", 0);

  private static final int THREADS = Integer.getInteger("whence.threads", 0);
  private static final int WARM_UP = 10;
  private static final int QUERIES = 100;

  @TempDir private Path data;

  @Test
  void resultsComeWithinASecond() throws Exception {
    InfluenceCluster cluster = InfluenceCluster.shared();
    Path corpus = data.resolve("corpus.jsonl");
    List<Document> documents = SampleCorpus.tiny();
    try (BufferedWriter out = Files.newBufferedWriter(corpus)) {
      Path once = SampleCorpus.write(data.resolve("once.jsonl"), documents);
      List<String> lines = Files.readAllLines(once);
      for (int i = 0; i < DOCUMENTS; i++) {
        String line = lines.get(i % lines.size());
        out.write(line.replaceFirst("\"id\":\"", "\"id\":\"" + i + "-"));
        out.newLine();
      }
    }
    long began = System.nanoTime();
    Path indexes = data.resolve("indexes");
    cluster.build(corpus, indexes.resolve("large"), InfluenceCluster.SHARDS, BUCKETS);
    double built = (System.nanoTime() - began) / 1e9;
    Topics topics = cluster.topics();
    Map<String, String> settings =
        Map.of(
            "indexes",
            indexes.toString(),
            "query.top",
            "10",
            "query.rerank",
            "50",
            "engine.threads",
            Integer.toString(THREADS));
    List<Double> seconds = new ArrayList<>();
    try (InfluenceProcessor processor = cluster.start(topics, data.resolve("p"), settings);
        Consumer<byte[], byte[]> reader = new Clients(cluster.connection).reader("latency")) {
      List<TopicPartition> partitions =
          reader.partitionsFor(topics.influences().name()).stream()
              .map(info -> new TopicPartition(info.topic(), info.partition()))
              .toList();
      reader.assign(partitions);
      reader.seekToBeginning(partitions);
      Map<String, Long> sent = new HashMap<>();
      for (int i = 0; i < WARM_UP + QUERIES; i++) {
        var response = InfluenceCluster.answered("r-" + i, i);
        cluster.respond(topics, response);
        sent.put("r-" + i, System.nanoTime());
        int results = 0;
        while (results == 0) {
          results = reader.poll(Duration.ofSeconds(30)).count();
          assertThat(results).as("results of r-%d", i).isBetween(0, 1);
        }
        if (i >= WARM_UP) {
          seconds.add((System.nanoTime() - sent.get("r-" + i)) / 1e9);
        }
      }
      var scan = processor.meters().get("whence.influence.scan.time").timer();
      var rerank = processor.meters().get("whence.influence.rerank.time").timer();
      System.err.printf(
          Locale.ROOT,
          "%d documents, %s buckets, %d shards: index built at %.0f documents/s; event to result"
              + " p50 %.3f s, p99 %.3f s; scan mean %.3f s; ranking again mean %.3f s%n",
          DOCUMENTS,
          BUCKETS == 0 ? "default" : Integer.toString(BUCKETS),
          InfluenceCluster.SHARDS,
          DOCUMENTS / built,
          quantile(seconds, 0.5),
          quantile(seconds, 0.99),
          scan.mean(java.util.concurrent.TimeUnit.MILLISECONDS) / 1e3,
          rerank.mean(java.util.concurrent.TimeUnit.MILLISECONDS) / 1e3);
    }
    for (Influence one : cluster.influences(topics)) {
      assertThat(one.getCoverage().getShare()).isEqualTo(1);
      assertThat(one.getCoverage().getDocumentsScanned()).isEqualTo(DOCUMENTS);
    }
    assertThat(quantile(seconds, 0.5)).as("p50, seconds").isLessThanOrEqualTo(1);
    assertThat(quantile(seconds, 0.99)).as("p99, seconds").isLessThanOrEqualTo(2);
  }

  private static double quantile(List<Double> values, double share) {
    List<Double> sorted = values.stream().sorted().toList();
    return sorted.get((int) Math.ceil(share * sorted.size()) - 1);
  }
}
