package dev.whence.transfer.merge;

import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * What to do where the models do not match. Everything is refused by default: what is kept, dropped
 * or taken from somewhere else is a decision, and {@code plan} lists it tensor by tensor.
 *
 * @param missing a tensor that not all three models have
 * @param shapes a tensor whose shapes differ
 * @param tiedHead an output head that one model stores and another ties to its embeddings
 * @param vocabulary token lists that differ
 * @param addedTokens tokens of the fine-tuned model that the target does not know
 * @param nonFinite NaN and infinite elements, and results beyond the target's range
 * @param template whose chat template and special tokens the result has
 * @param renamed name in the target to the name in base and fine-tuned
 */
public record Policies(
    Missing missing,
    Shapes shapes,
    TiedHead tiedHead,
    Vocabularies vocabulary,
    AddedTokens addedTokens,
    NonFinite nonFinite,
    Template template,
    Map<String, String> renamed) {

  /** Everything is refused, the chat template is the fine-tuned model's. */
  public static final Policies STRICT =
      new Policies(
          Missing.FAIL,
          Shapes.FAIL,
          TiedHead.FAIL,
          Vocabularies.FAIL,
          AddedTokens.FAIL,
          NonFinite.FAIL,
          Template.FINE_TUNED,
          Map.of());

  /** Tensors that not all three models have. */
  public enum Missing {
    FAIL,
    /** The result has the target's tensors; what only base or fine-tuned have is dropped. */
    TARGET
  }

  /** Tensors whose shapes differ. */
  public enum Shapes {
    FAIL,
    /** The target's tensor stays as it is. */
    TARGET
  }

  /** A head that is stored on one side and tied on another. */
  public enum TiedHead {
    FAIL,
    /** Where a head is not stored, the embeddings stand for it, as they do when the model runs. */
    EMBEDDINGS
  }

  /** Token lists that differ. */
  public enum Vocabularies {
    FAIL,
    /** Rows belong together whose tokens are the same string; other rows are the target's. */
    ALIGN
  }

  /** Tokens that fine-tuning added and that the target does not know. */
  public enum AddedTokens {
    FAIL,
    /** They are not in the result. */
    DROP,
    /** They are appended to the target's tokens, with the fine-tuned model's rows. */
    APPEND
  }

  /** NaN and infinity. */
  public enum NonFinite {
    FAIL,
    /**
     * IEEE arithmetic; a NaN that arithmetic makes is the positive quiet one without payload. Where
     * target and base are the same bits and lambda is 1, the fine-tuned model's bits, whatever they
     * are.
     */
    PROPAGATE
  }

  /** Whose chat template. */
  public enum Template {
    FINE_TUNED,
    TARGET
  }

  public Policies {
    renamed = Map.copyOf(renamed);
  }

  /** One {@code name=value} line each: part of what names a plan, and of the manifest. */
  public Map<String, String> named() {
    Map<String, String> named = new TreeMap<>();
    named.put("missing", word(missing));
    named.put("shapes", word(shapes));
    named.put("tied-head", word(tiedHead));
    named.put("vocabulary", word(vocabulary));
    named.put("added-tokens", word(addedTokens));
    named.put("non-finite", word(nonFinite));
    named.put("template", word(template));
    renamed.forEach((target, source) -> named.put("rename " + target, source));
    return named;
  }

  private static String word(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
