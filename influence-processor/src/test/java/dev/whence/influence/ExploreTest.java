package dev.whence.influence;

import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineOptions;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.*;
import dev.whence.influence.index.*;
import dev.whence.influence.model.*;
import dev.whence.influence.query.*;
import dev.whence.samples.*;
import java.nio.file.*;
import java.util.*;
import java.util.stream.*;
import org.junit.jupiter.api.Test;

class ExploreTest {
  @SuppressWarnings({"StreamResourceLeak", "StringSplitter"})
  @Test
  void explore() throws Exception {
    String base = System.getProperty("x.base", "tiny-base");
    String chat = System.getProperty("x.chat", "tiny-chat");
    int limit = Integer.getInteger("x.limit", 20);
    Path dir = Path.of(System.getProperty("x.dir", "/tmp/explore-" + base));
    Files.createDirectories(dir);
    List<Document> documents =
        base.equals("tiny-base") ? SampleCorpus.tiny() : SampleCorpus.baseV1();
    World world = SampleCorpus.world(base);
    Path corpus = SampleCorpus.write(dir.resolve("corpus.jsonl"), documents);
    Path asked = SampleCorpus.writeAsked(dir.resolve("asked.jsonl"), world);
    EngineOptions cpu = EngineOptions.defaults().withDevice("cpu");
    System.out.println(documents.size() + " documents");
    long t = System.nanoTime();
    Path basePath = BundledModels.unpack(base);
    Path chatPath = BundledModels.unpack(chat);
    try (TappedModel model = TappedModel.open(basePath, LayerSelection.ALL, cpu)) {
      new FactorsJob(model, new CorpusFile(corpus), dir.resolve("pt"), FactorsJob.Options.DEFAULT)
          .run(FactorsJob.Listener.NONE);
      System.out.println("factors pt " + (System.nanoTime() - t) / 1e9);
      t = System.nanoTime();
      try (EkfacFactors f = EkfacFactors.read(dir.resolve("pt"), model.matrices())) {
        int k = Integer.getInteger("x.k", IndexJob.defaultBuckets(f));
        System.out.println("tokens " + f.stage().tokens() + " buckets " + k);
        new IndexJob(
                model,
                basePath,
                f,
                dir.resolve("pt"),
                new CorpusFile(corpus),
                dir.resolve("index" + k),
                IndexJob.Options.of(k))
            .run(FactorsJob.Listener.NONE);
        System.out.println("index " + (System.nanoTime() - t) / 1e9);
      }
    }
    t = System.nanoTime();
    try (TappedModel model = TappedModel.open(chatPath, LayerSelection.ALL, cpu)) {
      new FactorsJob(model, new CorpusFile(asked), dir.resolve("ft"), FactorsJob.Options.DEFAULT)
          .run(FactorsJob.Listener.NONE);
    }
    System.out.println("factors ft " + (System.nanoTime() - t) / 1e9);
    Path index =
        Files.list(dir)
            .filter(p -> p.getFileName().toString().startsWith("index"))
            .findFirst()
            .orElseThrow();
    for (boolean multi : new boolean[] {true, false}) {
      for (String damping : System.getProperty("x.dampings", "0.1x").split(",")) {
        try (OpenedSearch search =
            OpenedSearch.open(
                OpenedSearch.Files.of(index)
                    .withAnswering(
                        chatPath, multi ? Optional.of(dir.resolve("ft")) : Optional.empty()),
                cpu)) {
          QueryOptions options =
              QueryOptions.DEFAULT
                  .withLambda(Damping.parse(damping))
                  .withAlpha(Damping.parse(System.getProperty("x.alpha", "0.1x")))
                  .withRerank(Integer.getInteger("x.rerank", 50));
          int n = 0, first = 0, inTop = 0;
          double precision = 0;
          t = System.nanoTime();
          for (Fact fact : world.facts()) {
            if (n == limit || world.isAskedInFineTuning(fact) || world.documents(fact) < 10)
              continue;
            Conversation c = Questions.withoutContext(fact, 0).answered();
            InfluenceResult r = search.search().search(c, options);
            Set<String> teach =
                documents.stream()
                    .filter(d -> d.facts().stream().anyMatch(s -> s.fact().equals(fact.id())))
                    .map(Document::id)
                    .collect(Collectors.toSet());
            List<String> top = r.positive().stream().map(d -> d.document().id()).toList();
            long hits = top.stream().filter(teach::contains).count();
            n++;
            if (!top.isEmpty() && teach.contains(top.get(0))) first++;
            if (hits > 0) inTop++;
            precision += hits / (double) Math.min(10, teach.size());
          }
          System.out.printf(
              "multi %s damping %s: n %d first %.2f anyTop10 %.2f recall10 %.2f  %.2f s/query%n",
              multi,
              damping,
              n,
              first / (double) n,
              inTop / (double) n,
              precision / n,
              (System.nanoTime() - t) / 1e9 / n);
        }
      }
    }
  }
}
