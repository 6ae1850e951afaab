package dev.whence.influence.query;

import dev.whence.conversation.Conversation;
import dev.whence.files.FileTree;
import dev.whence.influence.SampleCorpus;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.index.GradientIndex;
import dev.whence.influence.index.IndexJob;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Fact;
import dev.whence.samples.Questions;
import dev.whence.samples.World;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * An index of 40 documents of tiny-base, and what it was made of: models, corpus and factors. It
 * takes seconds to make, so the tests of a JVM share it; none changes it, words may be put beside
 * it.
 */
final class TinyIndex {
  static final World WORLD = SampleCorpus.world("tiny-base");
  private static final List<TinyIndex> OPEN = new ArrayList<>();

  final TappedModel base;
  final TappedModel chat;
  final Path corpus;
  final Path factorsPath;
  final EkfacFactors pretraining;
  final EkfacFactors fineTuning;
  final GradientIndex index;
  private final Path directory;

  private TinyIndex() throws Exception {
    directory = Files.createTempDirectory("whence-tiny-index");
    base = TinyFactors.base();
    chat = TinyFactors.chat();
    corpus = SampleCorpus.write(directory.resolve("corpus.jsonl"), TinyFactors.documents());
    factorsPath =
        TinyFactors.compute(base, corpus, directory.resolve("pretraining"), TinyFactors.OPTIONS);
    Path asked = SampleCorpus.writeAsked(directory.resolve("asked.jsonl"), WORLD);
    Path later =
        TinyFactors.compute(chat, asked, directory.resolve("fine-tuning"), TinyFactors.OPTIONS);
    pretraining = EkfacFactors.read(factorsPath, base.matrices());
    fineTuning = EkfacFactors.read(later, base.matrices());
    build(directory.resolve("index"), IndexJob.Options.of(1024));
    index = GradientIndex.open(directory.resolve("index"));
  }

  static synchronized TinyIndex shared() throws Exception {
    if (OPEN.isEmpty()) {
      TinyIndex made = new TinyIndex();
      OPEN.add(made);
      Runtime.getRuntime().addShutdownHook(new Thread(made::delete));
    }
    return OPEN.get(0);
  }

  private void delete() {
    try {
      FileTree.delete(directory);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The file of its one shard. */
  Path shard() {
    return ShardFile.path(directory.resolve("index"), 1, 1);
  }

  /** Builds another index of the same documents. */
  void build(Path output, IndexJob.Options options) throws Exception {
    job(output, options).run(FactorsJob.Listener.NONE);
  }

  IndexJob job(Path output, IndexJob.Options options) throws Exception {
    return new IndexJob(
        base,
        BundledModels.unpack("tiny-base"),
        pretraining,
        factorsPath,
        new CorpusFile(corpus),
        output,
        options.withPackTokens(256));
  }

  /** The job of an index of other documents by the same factors, saved after each pack. */
  IndexJob job(Path other, Path output, int shards, OptionalInt only) throws Exception {
    return new IndexJob(
        base,
        BundledModels.unpack("tiny-base"),
        pretraining,
        factorsPath,
        new CorpusFile(other),
        output,
        IndexJob.Options.of(256)
            .withShards(shards, only)
            .withPackTokens(32)
            .withSaveEvery(Duration.ZERO));
  }

  InfluenceSearch search(GradientIndex searched, Optional<EkfacFactors> second) {
    return new InfluenceSearch(chat, base, pretraining, second, searched, new CorpusFile(corpus));
  }

  /** A question about the nth fact that enough documents state, answered. */
  static Conversation answered(int nth) {
    Fact fact =
        WORLD.facts().stream()
            .filter(one -> WORLD.documents(one) > 3)
            .skip(nth)
            .findFirst()
            .orElseThrow();
    return Questions.withoutContext(fact, 0).answered();
  }

  MultiStageQuery.Preconditioned preconditioned() {
    return preconditioned(0);
  }

  MultiStageQuery.Preconditioned preconditioned(int nth) {
    return new MultiStageQuery(pretraining, Optional.empty(), base.matrices())
        .precondition(
            ResponseGradient.of(
                chat, chat.texts().conversation(answered(nth)), Measure.LOG_LIKELIHOOD),
            Damping.DEFAULT,
            Damping.DEFAULT,
            index.settings());
  }
}
