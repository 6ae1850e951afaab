package dev.whence.influence.index;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.model.Measure;
import dev.whence.runtime.models.ModelLocation;
import java.nio.file.Path;

/**
 * What an index is of, and how its vectors were made.
 *
 * @param modelName as its files are called
 * @param modelPath where the model was when the index was built
 * @param modelDigest of the model whose gradients are indexed
 * @param factorsPath where the factors were
 * @param factorsDigest of the factors that whiten
 * @param measure of documents whose gradients are indexed
 * @param damping lambda0
 * @param rounded whether linear layers multiplied numbers in bf16, see {@link
 *     dev.whence.influence.model.TappedModel#openRounded}
 * @param sketch k buckets and seed
 * @param corpusPath where the corpus was
 * @param corpusDigest SHA-256 of it
 * @param shards S
 */
public record IndexSettings(
    String modelName,
    String modelPath,
    String modelDigest,
    String factorsPath,
    String factorsDigest,
    Measure measure,
    Damping damping,
    boolean rounded,
    BlockSketch sketch,
    String corpusPath,
    String corpusDigest,
    int shards) {
  private static final String FP32 = "fp32";
  private static final String BF16 = "bf16";

  /**
   * Whether a name of what products are of, as it stands in an index and on the command line, is
   * that of bf16.
   *
   * @throws IllegalArgumentException if it is neither fp32 nor bf16
   */
  public static boolean isRounded(String products) {
    return switch (products) {
      case BF16 -> true;
      case FP32 -> false;
      default ->
          throw new IllegalArgumentException("dtype \"" + products + "\" is none of fp32, bf16");
    };
  }

  void write(ObjectNode json) {
    json.put("modelName", modelName)
        .put("modelPath", modelPath)
        .put("model", modelDigest)
        .put("factorsPath", factorsPath)
        .put("factors", factorsDigest)
        .put("measure", measure.label())
        .put("lambda0", damping.text())
        .put("buckets", sketch.buckets())
        .put("sketchSeed", sketch.seed())
        .put("corpusPath", corpusPath)
        .put("corpus", corpusDigest)
        .put("shards", shards);
    if (rounded) { // those that are not are written as they were before there were any
      json.put("products", products());
    }
  }

  /**
   * @throws IllegalArgumentException if a number can not be of an index
   */
  static IndexSettings read(JsonNode json) {
    int buckets = json.path("buckets").asInt();
    if (buckets % SignCodes.WORD != 0) {
      throw new IllegalArgumentException(buckets + " buckets are no multiple of " + SignCodes.WORD);
    }
    return new IndexSettings(
        json.path("modelName").asText(),
        json.path("modelPath").asText(),
        json.path("model").asText(),
        json.path("factorsPath").asText(),
        json.path("factors").asText(),
        Measure.of(json.path("measure").asText()),
        Damping.parse(json.path("lambda0").asText()),
        isRounded(json.path("products").asText(FP32)),
        new BlockSketch(buckets, json.path("sketchSeed").asLong()),
        json.path("corpusPath").asText(),
        json.path("corpus").asText(),
        json.path("shards").asInt());
  }

  /**
   * {@link #modelPath} as a path, {@code s3://bucket/key} among them.
   *
   * @throws InfluenceException if it is none that is read here
   */
  public Path whereModelWas() {
    return place(modelPath);
  }

  /** {@link #factorsPath}, as {@link #whereModelWas}. */
  public Path whereFactorsWere() {
    return place(factorsPath);
  }

  /** {@link #corpusPath}, as {@link #whereModelWas}. */
  public Path whereCorpusWas() {
    return place(corpusPath);
  }

  private static Path place(String text) {
    try {
      return ModelLocation.path(text);
    } catch (IllegalArgumentException e) {
      throw new InfluenceException(
          "What the index was built of lies where it can not be read here: "
              + e.getMessage()
              + ". Give its place here.",
          e);
    }
  }

  /**
   * Whether vectors of both may be searched together. Paths may differ: workers that build shards
   * of one index may have model, factors and corpus each in a place of its own.
   */
  public boolean isLike(IndexSettings other) {
    return rounded == other.rounded && isLikeButForRounding(other);
  }

  /**
   * That a place holds what another index's vectors can not be searched together with.
   *
   * @param there what it holds
   */
  InfluenceException refusal(Path place, IndexSettings there) {
    return new InfluenceException(
        rounded != there.rounded && isLikeButForRounding(there)
            ? place
                + " is of products in "
                + there.products()
                + ". Give --dtype "
                + there.products()
                + " to go on with it, or another --output."
            : place + " is of another index. Give another --output, or remove it.");
  }

  private String products() {
    return rounded ? BF16 : FP32;
  }

  private boolean isLikeButForRounding(IndexSettings other) {
    return modelDigest.equals(other.modelDigest)
        && factorsDigest.equals(other.factorsDigest)
        && measure == other.measure
        && damping.equals(other.damping)
        && sketch.equals(other.sketch)
        && corpusDigest.equals(other.corpusDigest)
        && shards == other.shards;
  }
}
