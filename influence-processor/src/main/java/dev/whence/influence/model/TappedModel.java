package dev.whence.influence.model;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.Labels;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrices;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.engine.kernel.TrainableDecoder;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import dev.whence.engine.training.TrainingTexts;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.TensorInfo;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * A model whose linear layers show their inputs and output gradients, in fp32 whatever their
 * products are of. One thread uses it.
 */
public final class TappedModel implements AutoCloseable {
  /** Elements of a weight that two threads are no faster with than one. */
  private static final long SMALL = 1 << 17;

  private final ModelFiles files;
  private final TrainableDecoder decoder;
  private final Matrices matrices;
  private final TrainingTexts texts;

  private TappedModel(ModelFiles files, TrainableDecoder decoder, Matrices matrices) {
    this.files = files;
    this.decoder = decoder;
    this.matrices = matrices;
    this.texts =
        new TrainingTexts(files.tokenizer(), files.template(), files.config().maxPositions());
  }

  /**
   * Loads a model.
   *
   * @param path a Hugging Face directory or a GGUF file
   * @throws EngineException if it can not be read or loaded
   */
  public static TappedModel open(Path path, LayerSelection selection, EngineOptions options) {
    return open(path, selection, false, options);
  }

  /**
   * As {@link #open(Path, LayerSelection, EngineOptions)}, but linear layers multiply numbers in
   * bf16 ({@link TrainableDecoder#frozenRounded}). Enough for an index, whose sketches are off by
   * more; refused where factors or exact influences are wanted.
   */
  public static TappedModel openRounded(
      Path path, LayerSelection selection, EngineOptions options) {
    return open(path, selection, true, options);
  }

  private static TappedModel open(
      Path path, LayerSelection selection, boolean rounded, EngineOptions options) {
    ModelFiles files = ModelFiles.open(path);
    Matrices matrices = null;
    TrainableDecoder decoder = null;
    boolean complete = false;
    try {
      List<LinearLayer> layers = selection.of(files.config());
      matrices = Matrices.open(options);
      decoder =
          rounded
              ? TrainableDecoder.frozenRounded(files.config(), layers, options)
              : TrainableDecoder.frozen(files.config(), layers, options);
      load(decoder, files);
      TappedModel model = new TappedModel(files, decoder, matrices);
      complete = true;
      return model;
    } finally {
      if (!complete) {
        if (decoder != null) {
          decoder.close();
        }
        if (matrices != null) {
          matrices.close();
        }
        files.close();
      }
    }
  }

  /** Both read all weights: at once, where what one has read is still in memory for the other. */
  private static void load(TrainableDecoder decoder, ModelFiles files) {
    CompletableFuture<String> digest =
        CompletableFuture.supplyAsync(
            files::digest,
            task -> {
              Thread thread = new Thread(task, "model digest");
              thread.setDaemon(true);
              thread.start();
            });
    boolean complete = false;
    try {
      decoder.load(files.weights());
      complete = true;
    } finally {
      if (!complete) {
        files.weights().close(); // which ends the reading, too
      }
      String unused = digest.exceptionally(problem -> "").join(); // whoever asks hears of it
    }
  }

  public String name() {
    return files.name();
  }

  /** See {@link ModelFiles#digest()}. */
  public String digest() {
    return files.digest();
  }

  /** Elements of all its tensors. */
  public long parameters() {
    return files.weights().tensors().values().stream().mapToLong(TensorInfo::elements).sum();
  }

  public ModelConfig config() {
    return files.config();
  }

  /** What it learns from. */
  public TrainingTexts texts() {
    return texts;
  }

  /** Whether linear layers multiply numbers in bf16. */
  public boolean isRounded() {
    return decoder.isRounded();
  }

  /**
   * Refuses a model that was {@linkplain #openRounded opened} for an index only.
   *
   * @return itself
   * @throws IllegalArgumentException if it was
   */
  public TappedModel unrounded() {
    if (isRounded()) {
      throw new IllegalArgumentException(name() + " multiplies in bf16: of use for an index only");
    }
    return this;
  }

  /** Its layers that are tapped. */
  public List<LinearLayer> layers() {
    return decoder.taps();
  }

  /**
   * Lets the calling thread work alone if the model's matrices are too small to be shared by
   * threads, as a document's are: several processes, each on its part, use the processors better.
   */
  public void workAloneIfSmall() {
    if (layers().stream().mapToLong(LinearLayer::elements).max().orElse(0) <= SMALL) {
      TorchRuntime.workAlone();
    }
  }

  /** Makes matrices where the model is. */
  public Matrices matrices() {
    return matrices;
  }

  /**
   * Puts examples side by side.
   *
   * @param packTokens of a pack
   * @throws EngineException of kind RECORD if a token is not in the vocabulary
   */
  public List<RowPacker.Packed> pack(List<Example> examples, int packTokens) {
    for (Example example : examples) {
      for (int token : example.tokens()) {
        if (token < 0 || token >= config().vocabularySize()) {
          throw new EngineException(
              Kind.RECORD,
              "A document has token id "
                  + token
                  + ", the model's vocabulary has "
                  + config().vocabularySize()
                  + ": the tokenizer is not this model's.");
        }
      }
    }
    return new RowPacker(packTokens).pack(examples, 1);
  }

  /**
   * Examples whose gradients are those of minus the measure: loss weights times the measure's slope
   * at each token. Cost: a forward of each, where the slope is not 1 everywhere.
   */
  public List<Example> sloped(List<Example> examples, Measure measure, int packTokens) {
    if (measure == Measure.LOG_LIKELIHOOD) {
      return examples;
    }
    List<float[]> weights =
        examples.stream().map(example -> example.lossWeights().clone()).toList();
    int[] next = new int[examples.size()];
    for (RowPacker.Packed pack : pack(examples, packTokens)) {
      float[] losses = decoder.measure(pack.documents());
      for (int s = 0; s < losses.length; s++) {
        int owner = pack.owners()[s];
        float[] own = weights.get(owner);
        while (own[next[owner]] == 0) {
          next[owner]++;
        }
        own[next[owner]++] *= (float) measure.slope(losses[s]);
      }
    }
    List<Example> sloped = new ArrayList<>();
    for (int i = 0; i < examples.size(); i++) {
      sloped.add(new Example(examples.get(i).tokens(), weights.get(i)));
    }
    return sloped;
  }

  /** Forward and back; the caller closes the taps. */
  public Taps tap(RowPacker.Packed pack, Labels labels) {
    return decoder.tap(matrices, pack.documents(), labels);
  }

  @Override
  public void close() {
    decoder.close();
    matrices.close();
    files.close();
  }
}
