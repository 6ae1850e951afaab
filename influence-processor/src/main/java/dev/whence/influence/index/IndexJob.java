package dev.whence.influence.index;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.files.FileProblem;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.OutputPlace;
import dev.whence.influence.Presence;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.corpus.CorpusFile.Share;
import dev.whence.influence.corpus.CorpusPass;
import dev.whence.influence.corpus.OnlyWriter;
import dev.whence.influence.corpus.PackTokens;
import dev.whence.influence.corpus.Progress;
import dev.whence.influence.corpus.RejectFile;
import dev.whence.influence.corpus.SeenCorpus;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.OptionalInt;

/**
 * Builds an index of a corpus, shard by shard; shard s of S has the lines whose number is s modulo
 * S. Workers build different shards of one directory. The same call goes on where a run was cut
 * off. Lines that are no document are counted, with their numbers in a reject file.
 */
public final class IndexJob {
  /**
   * How it is built.
   *
   * @param measure of documents, see {@link Measure}
   * @param damping lambda0, of whitening
   * @param sketch k and seed
   * @param shards S
   * @param only one shard of them; empty: all, one after the other
   * @param packTokens of a pack, see {@link PackTokens}
   * @param saveEvery after how long work is kept, at the end of what is worked on together then
   */
  public record Options(
      Measure measure,
      Damping damping,
      BlockSketch sketch,
      int shards,
      OptionalInt only,
      int packTokens,
      Duration saveEvery) {
    public Options {
      PackTokens.check(packTokens);
      if (shards < 1) {
        throw new InfluenceException(shards + " shards: an index has at least one.");
      }
      if (only.isPresent() && (only.getAsInt() < 1 || only.getAsInt() > shards)) {
        throw new InfluenceException(
            "shard "
                + only.getAsInt()
                + " of "
                + shards
                + " is none: shards count from 1 to "
                + shards
                + ".");
      }
      if (sketch.buckets() % SignCodes.WORD != 0) {
        throw new InfluenceException(
            sketch.buckets()
                + " buckets: the scan reads them by "
                + SignCodes.WORD
                + ", so a multiple of that is needed.");
      }
    }

    /** One shard, the default damping. */
    public static Options of(int buckets) {
      return new Options(
          Measure.LOG_LIKELIHOOD,
          Damping.DEFAULT,
          new BlockSketch(buckets, 1),
          1,
          OptionalInt.empty(),
          1024,
          Duration.ofMinutes(1));
    }

    public Options withMeasure(Measure other) {
      return new Options(other, damping, sketch, shards, only, packTokens, saveEvery);
    }

    public Options withShards(int other, OptionalInt one) {
      return new Options(measure, damping, sketch, other, one, packTokens, saveEvery);
    }

    public Options withPackTokens(int other) {
      return new Options(measure, damping, sketch, shards, only, other, saveEvery);
    }

    public Options withSketch(BlockSketch other) {
      return new Options(measure, damping, other, shards, only, packTokens, saveEvery);
    }

    public Options withSaveEvery(Duration other) {
      return new Options(measure, damping, sketch, shards, only, packTokens, other);
    }
  }

  /** By {@link #defaultBuckets}. */
  public static final int FEWEST_BUCKETS = 256;

  /** Of a whole gradient in fp32 an index keeps a hundredth of the bytes. */
  private static final int KEPT = 100;

  /**
   * Numbers of one bit each that take a hundredth of a whole gradient's bytes in fp32, a multiple
   * of 64 between 256 and 262,144 (32 KiB of a document).
   */
  public static int defaultBuckets(EkfacFactors factors) {
    long elements = factors.layers().stream().mapToLong(LinearLayer::elements).sum();
    return (int) Math.max(FEWEST_BUCKETS, Math.min(1 << 18, buckets(elements, KEPT)));
  }

  /**
   * Numbers of one bit each that take a share of a whole gradient's bytes in fp32, to the next
   * multiple of a word.
   *
   * @param share one over the share
   */
  public static long buckets(long elements, int share) {
    long step = SignCodes.WORD;
    return (elements * Float.SIZE / share + step - 1) / step * step;
  }

  private static final int PACKS_AT_ONCE = 8;

  /** Numbers of the sketches that are in memory together: 256 MiB. */
  private static final int SKETCHES_AT_ONCE = 1 << 26;

  private final TappedModel model;
  private final EkfacFactors factors;
  private final IndexSettings settings;
  private final CorpusFile corpus;
  private final SeenCorpus seen;
  private final Path output;
  private final Options options;

  /**
   * @param model opened with the factors' layers; stays the caller's to close
   * @param factors of that model; stay the caller's
   * @throws InfluenceException if the factors are another model's, or nothing can be written there,
   *     see {@link OutputPlace}
   */
  public IndexJob(
      TappedModel model,
      Path modelPath,
      EkfacFactors factors,
      Path factorsPath,
      CorpusFile corpus,
      Path output,
      Options options) {
    OutputPlace.check(output);
    factors.checkModel(model.name(), model.digest());
    if (factors.areRounded() != model.isRounded()) {
      throw new IllegalArgumentException("model and factors: one of them is rounded alone");
    }
    this.model = model;
    this.factors = factors;
    this.corpus = corpus;
    this.seen = new SeenCorpus(corpus);
    this.output = output;
    this.options = options;
    this.settings =
        new IndexSettings(
            model.name(),
            modelPath.toAbsolutePath().toString(),
            model.digest(),
            factorsPath.toAbsolutePath().toString(),
            factors.digest(),
            options.measure(),
            options.damping(),
            model.isRounded(),
            options.sketch(),
            corpus.path().toAbsolutePath().toString(),
            seen.digest(),
            options.shards());
  }

  /**
   * Builds what is not there yet.
   *
   * @throws InfluenceException if the corpus holds no document or is changed meanwhile, the
   *     directory is another index's, or a file can not be read or written
   */
  public void run(FactorsJob.Listener listener) {
    try {
      Files.createDirectories(output);
    } catch (IOException e) {
      throw new InfluenceException(
          output + " could not be made (" + FileProblem.of(e, output) + ").", e);
    }
    checkShards();
    try (SketchedGradients gradients =
        new SketchedGradients(
            model, factors, options.damping(), options.sketch(), options.measure())) {
      for (int shard = 1; shard <= options.shards(); shard++) {
        if (options.only().isEmpty() || options.only().getAsInt() == shard) {
          build(shard, gradients, listener);
        }
      }
    }
    IndexManifest.writeIfComplete(output, options.shards());
  }

  private void build(int shard, SketchedGradients gradients, FactorsJob.Listener listener) {
    Path path = ShardFile.path(output, shard, options.shards());
    if (isThere(path) && !ShardBuilder.hasPieces(path)) {
      return;
    }
    OnlyWriter.alone(
        path,
        () -> {
          if (isThere(path)) { // another run ended just now, or was killed before it tidied up
            ShardBuilder.removePieces(path);
          } else {
            build(shard, path, gradients, listener);
          }
        });
  }

  /** Shards of another number of shards would be asked in the place of those built here. */
  private void checkShards() {
    for (Path there : GradientIndex.files(output)) {
      if (!ShardFile.isOf(there, options.shards())) {
        throw new InfluenceException(
            there + " is of another index. Give another --output, or remove it.");
      }
    }
  }

  private boolean isThere(Path path) {
    if (!Presence.isThere(path)) {
      return false;
    }
    IndexSettings there = ShardFile.open(path).settings();
    if (!there.isLike(settings)) {
      throw settings.refusal(path, there);
    }
    return true;
  }

  private void build(
      int shard, Path path, SketchedGradients gradients, FactorsJob.Listener listener) {
    try (ShardBuilder builder = new ShardBuilder(path, settings, shard)) {
      Progress start = builder.progress();
      if (start.line() > 0) {
        listener.note("shard " + shard + ": going on after line " + start.line());
      }
      Path rejects = output.resolve("rejects-" + shard + "-of-" + options.shards() + ".jsonl");
      Pass pass =
          new Pass(shard, builder, gradients, new RejectFile(rejects, start.rejected()), listener);
      corpus.read(model.texts(), new Share(shard, options.shards()), start.line(), pass);
      Progress done = pass.finish();
      if (done.documents() == 0 && options.shards() == 1) {
        throw new InfluenceException(
            corpus.path()
                + " holds no document ("
                + done.rejected()
                + " lines were rejected): nothing to index.");
      }
      builder.finish(done);
      done.sayRejected(rejects).ifPresent(listener::note);
    }
  }

  private final class Pass extends CorpusPass {
    private final int shard;
    private final ShardBuilder builder;
    private final SketchedGradients gradients;
    private final FactorsJob.Listener listener;

    Pass(
        int shard,
        ShardBuilder builder,
        SketchedGradients gradients,
        RejectFile rejects,
        FactorsJob.Listener listener) {
      super(
          builder.progress(),
          rejects,
          (long) PACKS_AT_ONCE * options.packTokens(),
          Math.max(1, SKETCHES_AT_ONCE / options.sketch().buckets()),
          options.saveEvery(),
          seen,
          settings.corpusDigest());
      this.shard = shard;
      this.builder = builder;
      this.gradients = gradients;
      this.listener = listener;
    }

    @Override
    protected void compute(List<CorpusDocument> documents) {
      if (!documents.isEmpty()) {
        builder.add(
            documents.stream().map(IndexedDocument::of).toList(),
            gradients.of(documents, options.packTokens()));
      }
    }

    @Override
    protected void save(Progress done) {
      builder.save(done);
    }

    @Override
    protected void moved(long bytesRead, Progress done) {
      listener.pass("shard " + shard + " of " + options.shards(), bytesRead, done);
    }
  }
}
