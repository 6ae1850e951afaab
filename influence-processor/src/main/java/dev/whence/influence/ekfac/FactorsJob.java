package dev.whence.influence.ekfac;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import dev.whence.files.FileProblem;
import dev.whence.files.OwnFile;
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
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.TappedModel;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Computes the EK-FAC factors of a model on a corpus, in a directory:
 *
 * <pre>
 *   1  covariances-i-of-n.factors   each worker, of its lines: sums of a a' and d d'
 *   2  eigenvectors.factors         of the sums of all workers
 *   3  lambda-i-of-n.factors        each worker, of its lines: sums of (Q_S' G Q_A)^2
 *   4  lambda.factors               of all workers: the factors are complete
 * </pre>
 *
 * Each pass is one forward and one backward of every document. The same call goes on where a run
 * was cut off, from the last saved state; a worker whose fellows have not come so far yet stops
 * there and says so. Lines that are no document are counted, with their numbers in a reject file.
 */
public final class FactorsJob {
  /**
   * What is computed.
   *
   * @param modelName as its files are called
   * @param modelDigest the model's digest
   * @param selection of layers
   * @param form of Lambda
   * @param corpusDigest SHA-256 of the corpus
   * @param seed of the labels that are drawn
   */
  record Settings(
      String modelName,
      String modelDigest,
      LayerSelection selection,
      LambdaForm form,
      String corpusDigest,
      long seed) {}

  /**
   * How it is computed; the result does not depend on it but for rounding.
   *
   * @param packTokens of a pack, see {@link PackTokens}
   * @param share of the corpus
   * @param saveEvery after how long work is kept, at the end of what is worked on together then
   */
  public record Options(
      LayerSelection selection,
      LambdaForm form,
      long seed,
      int packTokens,
      Share share,
      Duration saveEvery) {
    public Options {
      PackTokens.check(packTokens);
    }

    public static final Options DEFAULT =
        new Options(
            LayerSelection.ALL, LambdaForm.PER_SEQUENCE, 1, 1024, Share.ALL, Duration.ofMinutes(2));

    public Options withSelection(LayerSelection other) {
      return new Options(other, form, seed, packTokens, share, saveEvery);
    }

    public Options withForm(LambdaForm other) {
      return new Options(selection, other, seed, packTokens, share, saveEvery);
    }

    public Options withSeed(long other) {
      return new Options(selection, form, other, packTokens, share, saveEvery);
    }

    public Options withPackTokens(int other) {
      return new Options(selection, form, seed, other, share, saveEvery);
    }

    public Options withShare(Share other) {
      return new Options(selection, form, seed, packTokens, other, saveEvery);
    }

    public Options withSaveEvery(Duration other) {
      return new Options(selection, form, seed, packTokens, share, other);
    }
  }

  /** Who hears how far the job is; called from its thread. */
  public interface Listener {
    /** Nobody. */
    Listener NONE = new Listener() {};

    /**
     * A pass goes on.
     *
     * @param pass what is computed
     * @param bytesDone of the corpus
     * @param progress of the pass
     */
    default void pass(String pass, long bytesDone, Progress progress) {}

    /** Something worth a line. */
    default void note(String sentence) {}
  }

  private static final int PACKS_AT_ONCE = 16;

  /** File locks are a process's; workers of one process wait here. */
  private static final Object IN_THIS_PROCESS = new Object();

  private final TappedModel model;
  private final CorpusFile corpus;
  private final SeenCorpus seen;
  private final Path output;
  private final Options options;

  /**
   * @param model opened with the selection of the options; stays the caller's to close
   * @throws InfluenceException if nothing can be written there, see {@link OutputPlace}
   */
  public FactorsJob(TappedModel model, CorpusFile corpus, Path output, Options options) {
    OutputPlace.check(output);
    this.model = model.unrounded();
    this.corpus = corpus;
    this.seen = new SeenCorpus(corpus);
    this.output = output;
    this.options = options;
  }

  /**
   * Goes as far as it can.
   *
   * @return whether the factors are complete; else other workers' parts are awaited
   * @throws InfluenceException if the corpus holds no document or is changed meanwhile, the
   *     directory is another job's, or a file can not be read or written
   */
  public boolean run(Listener listener) {
    try {
      Files.createDirectories(output);
    } catch (IOException e) {
      throw new InfluenceException(
          output + " could not be made (" + FileProblem.of(e, output) + ").", e);
    }
    Settings settings =
        new Settings(
            model.name(),
            model.digest(),
            options.selection(),
            options.form(),
            seen.digest(),
            options.seed());
    Supplier<ObjectNode> covarianceHeader =
        () -> FactorHeader.of("covariances", settings, model.layers());
    Path own = part("covariances", options.share().part());
    onlyWriter(
        own, covarianceHeader, path -> covariances(path, share(covarianceHeader.get()), listener));
    String eigenvectors = alone(() -> eigenvectors(settings, listener));
    if (eigenvectors.isEmpty()) {
      sayRejected(own, listener);
      return false;
    }
    Supplier<ObjectNode> lambdaHeader =
        () -> FactorHeader.of("lambda", settings, model.layers()).put("eigenvectors", eigenvectors);
    Path ownLambda = part("lambda", options.share().part());
    onlyWriter(ownLambda, lambdaHeader, path -> lambda(path, share(lambdaHeader.get()), listener));
    boolean complete = alone(() -> merged(lambdaHeader.get(), listener));
    sayRejected(ownLambda, listener);
    return complete;
  }

  /** Once, though each pass meets them; of a run that found all done, too. */
  private void sayRejected(Path part, Listener listener) {
    try (ArrayFile file = ArrayFile.open(part)) {
      Progress.read(file.header()).sayRejected(rejects()).ifPresent(listener::note);
    }
  }

  private Path rejects() {
    return output.resolve(
        "rejects-" + options.share().part() + "-of-" + options.share().parts() + ".jsonl");
  }

  /**
   * Computes a part that is not there, unless another run of this very part is at it. Beside one
   * that is, a kill may have left the state that it was computed from.
   */
  private void onlyWriter(Path path, Supplier<ObjectNode> header, Consumer<Path> compute) {
    if (isComplete(path, share(header.get())) && !Presence.isThere(unfinished(path))) {
      return;
    }
    OnlyWriter.alone(
        path,
        () -> {
          if (isComplete(path, share(header.get()))) {
            delete(unfinished(path)); // the other run ended just now, or was killed before this
          } else {
            compute.accept(path);
          }
        });
  }

  /** One worker at a time: two that end together must not both decompose, or write one file. */
  private <T> T alone(Supplier<T> work) {
    Path path = output.resolve("factors.lock");
    synchronized (IN_THIS_PROCESS) {
      try (FileChannel channel =
              OwnFile.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
          FileLock lock = channel.lock()) {
        if (!lock.isValid()) {
          throw new IOException("the lock was lost");
        }
        return work.get();
      } catch (IOException e) {
        throw new InfluenceException(
            path + " could not be locked (" + FileProblem.of(e, path) + ").", e);
      }
    }
  }

  private ObjectNode share(ObjectNode header) {
    return ofPart(header, options.share().part());
  }

  private ObjectNode ofPart(ObjectNode header, int part) {
    return header.put("part", part).put("parts", options.share().parts());
  }

  private Path part(String what, int part) {
    return output.resolve(what + "-" + part + "-of-" + options.share().parts() + ".factors");
  }

  private static Path unfinished(Path path) {
    return path.resolveSibling(path.getFileName() + ".unfinished");
  }

  private static boolean isComplete(Path path, ObjectNode wanted) {
    if (!Presence.isThere(path)) {
      return false;
    }
    try (ArrayFile file = ArrayFile.open(path)) {
      FactorHeader.check(file.header(), wanted, path);
      return true;
    }
  }

  private void covariances(Path path, ObjectNode header, Listener listener) {
    try (Covariances sums = new Covariances(model.layers(), model.matrices())) {
      pass(
          "covariances",
          path,
          header,
          new LabelSeed(options.seed()),
          file -> sums.add(file, model.matrices()),
          sums::add,
          sums::save,
          listener);
    }
  }

  private void lambda(Path path, ObjectNode header, Listener listener) {
    try (ArrayFile file = ArrayFile.open(output.resolve(EkfacFactors.EIGEN_FILE));
        Eigenbases bases = Eigenbases.read(model.layers(), file, this::square, Optional.empty());
        LambdaSums sums = new LambdaSums(model.layers(), bases, options.form(), model.matrices())) {
      pass(
          "Lambda",
          path,
          header,
          new LabelSeed(~options.seed()),
          part -> sums.add(part, model.matrices()),
          sums::add,
          sums::save,
          listener);
    }
  }

  /** For eigenvectors, in the precision in which tokens are turned. */
  private Matrix square(int n) {
    return model.matrices().room(n, n);
  }

  private interface Save {
    String to(Path path, ObjectNode header);
  }

  /** One pass over the worker's lines; goes on from an unfinished file. */
  private void pass(
      String name,
      Path path,
      ObjectNode header,
      LabelSeed labels,
      Consumer<ArrayFile> load,
      Consumer<Taps> add,
      Save save,
      Listener listener) {
    Path unfinished = unfinished(path);
    Progress start = Progress.NONE;
    if (Presence.isThere(unfinished)) {
      try (ArrayFile file = ArrayFile.open(unfinished)) {
        FactorHeader.check(file.header(), header, unfinished);
        load.accept(file);
        start = Progress.read(file.header());
      }
      listener.note(name + ": going on after line " + start.line());
    }
    RejectFile rejects = new RejectFile(rejects(), start.rejected());
    Pass pass = new Pass(name, unfinished, header, labels, add, save, rejects, listener, start);
    corpus.read(model.texts(), options.share(), start.line(), pass);
    Progress done = pass.finish();
    if (done.documents() == 0 && options.share().parts() == 1) {
      throw new InfluenceException(
          corpus.path()
              + " holds no document ("
              + done.rejected()
              + " lines were rejected): nothing to compute factors of.");
    }
    done.write(header);
    save.to(path, header);
    delete(unfinished);
  }

  private static void delete(Path path) {
    try {
      Files.deleteIfExists(path);
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be removed (" + FileProblem.of(e, path) + ").", e);
    }
  }

  private final class Pass extends CorpusPass {
    private final String name;
    private final Path unfinished;
    private final ObjectNode header;
    private final LabelSeed labels;
    private final Consumer<Taps> add;
    private final Save save;
    private final Listener listener;

    Pass(
        String name,
        Path unfinished,
        ObjectNode header,
        LabelSeed labels,
        Consumer<Taps> add,
        Save save,
        RejectFile rejects,
        Listener listener,
        Progress start) {
      super(
          start,
          rejects,
          (long) PACKS_AT_ONCE * options.packTokens(),
          Integer.MAX_VALUE,
          options.saveEvery(),
          seen,
          FactorHeader.stage(header).corpusDigest());
      this.name = name;
      this.unfinished = unfinished;
      this.header = header;
      this.labels = labels;
      this.add = add;
      this.save = save;
      this.listener = listener;
    }

    @Override
    protected void compute(List<CorpusDocument> documents) {
      List<Example> examples = new ArrayList<>();
      List<Long> lines = new ArrayList<>();
      for (CorpusDocument document : documents) {
        for (Example example : document.examples()) {
          examples.add(LabelSeed.forSquares(example));
          lines.add(document.reference().line());
        }
      }
      for (RowPacker.Packed pack : model.pack(examples, options.packTokens())) {
        try (Taps taps = model.tap(pack, labels.of(pack, examples))) {
          checkFinite(taps, examples, lines);
          add.accept(taps);
        }
      }
    }

    /** One overflow would spoil the sums of all lines, of those that were saved before, too. */
    private void checkFinite(Taps taps, List<Example> examples, List<Long> lines) {
      Set<Integer> suspects = notFinite(taps);
      if (suspects.isEmpty()) {
        return;
      }
      // What is not finite may spread to the documents beside it: each is asked by itself.
      TreeSet<Long> guilty = new TreeSet<>();
      for (int suspect : suspects) {
        List<Example> alone = List.of(examples.get(suspect));
        for (RowPacker.Packed pack : model.pack(alone, options.packTokens())) {
          try (Taps own = model.tap(pack, labels.of(pack, alone))) {
            if (!notFinite(own).isEmpty()) {
              guilty.add(lines.get(suspect));
            }
          }
        }
      }
      if (guilty.isEmpty()) {
        suspects.forEach(suspect -> guilty.add(lines.get(suspect)));
      }
      throw new InfluenceException(
          corpus.path()
              + ": the model overflows on lines "
              + guilty
              + ", their inputs or gradients are not finite. Nothing of them was saved; take the"
              + " lines out of the corpus, and give the command with another --output.");
    }

    private Set<Integer> notFinite(Taps taps) {
      Set<Integer> found = new TreeSet<>();
      for (LinearLayer layer : model.layers()) {
        for (Matrix rows : List.of(taps.input(layer), taps.gradient(layer))) {
          try (Matrix squares = rows.rowProducts(rows)) {
            float[] values = squares.floats();
            for (Taps.Run run : taps.runs(layer)) {
              for (int row = run.from(); row < run.to(); row++) {
                if (!Float.isFinite(values[row])) {
                  found.add(run.document());
                }
              }
            }
          }
        }
      }
      return found;
    }

    @Override
    protected void save(Progress done) {
      ObjectNode state = header.deepCopy();
      done.write(state);
      save.to(unfinished, state);
    }

    @Override
    protected void moved(long bytesRead, Progress done) {
      listener.pass(name, bytesRead, done);
    }
  }

  /** The eigenvectors' checksum, or "" while covariances are missing. */
  private String eigenvectors(Settings settings, Listener listener) {
    Path path = output.resolve(EkfacFactors.EIGEN_FILE);
    ObjectNode header = FactorHeader.of("eigenvectors", settings, model.layers());
    if (Presence.isThere(path)) {
      try (ArrayFile file = ArrayFile.open(path)) {
        FactorHeader.check(file.header(), header, path);
        return file.checksum();
      }
    }
    if (!allThere("covariances", listener)) {
      return "";
    }
    try (Covariances sums = new Covariances(model.layers(), model.matrices())) {
      Progress all = Progress.NONE;
      for (int part = 1; part <= options.share().parts(); part++) {
        Path one = part("covariances", part);
        try (ArrayFile file = ArrayFile.open(one)) {
          FactorHeader.check(
              file.header(),
              ofPart(FactorHeader.of("covariances", settings, model.layers()), part),
              one);
          sums.add(file, model.matrices());
          all = all.plus(Progress.read(file.header()));
        }
      }
      if (all.documents() == 0) {
        throw new InfluenceException(
            corpus.path() + " holds no document: nothing to compute factors of.");
      }
      listener.note("eigenvectors of " + model.layers().size() + " layers");
      Progress counted = all;
      try (Eigenbases bases =
          Eigenbases.of(model.layers(), sums, () -> listener.pass("eigenvectors", 0, counted))) {
        return bases.save(path, header);
      }
    }
  }

  private boolean allThere(String what, Listener listener) {
    List<Integer> missing = new ArrayList<>();
    for (int part = 1; part <= options.share().parts(); part++) {
      if (!Presence.isThere(part(what, part))) {
        missing.add(part);
      }
    }
    if (!missing.isEmpty()) {
      listener.note(
          what + " of parts " + missing + " are not there yet: run this again when they are");
    }
    return missing.isEmpty();
  }

  private boolean merged(ObjectNode header, Listener listener) {
    Path path = output.resolve(EkfacFactors.LAMBDA_FILE);
    if (isComplete(path, header)) {
      return true;
    }
    if (!allThere("lambda", listener)) {
      return false;
    }
    try (ArrayFile eigen = ArrayFile.open(output.resolve(EkfacFactors.EIGEN_FILE));
        Eigenbases bases = Eigenbases.read(model.layers(), eigen, this::square, Optional.empty());
        LambdaSums sums = new LambdaSums(model.layers(), bases, options.form(), model.matrices())) {
      Progress all = Progress.NONE;
      for (int part = 1; part <= options.share().parts(); part++) {
        Path one = part("lambda", part);
        try (ArrayFile file = ArrayFile.open(one)) {
          FactorHeader.check(file.header(), ofPart(header.deepCopy(), part), one);
          sums.add(file, model.matrices());
          all = all.plus(Progress.read(file.header()));
        }
      }
      all.write(header);
      sums.save(path, header);
      return true;
    }
  }
}
