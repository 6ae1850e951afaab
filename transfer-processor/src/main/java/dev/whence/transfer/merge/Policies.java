package dev.whence.transfer.merge;

import dev.whence.transfer.TransferException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

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

  private static final String RENAME = "rename ";

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
    renamed.forEach((target, source) -> named.put(RENAME + target, source));
    return named;
  }

  /**
   * The policies of {@link #named}; what is missing is strict.
   *
   * @throws TransferException with every name and value that is none
   */
  public static Policies of(Map<String, String> named) {
    Map<String, String> left = new TreeMap<>(named);
    List<String> problems = new ArrayList<>();
    Map<String, String> renamed = new TreeMap<>();
    named.forEach(
        (name, value) -> {
          if (name.startsWith(RENAME)) {
            renamed.put(name.substring(RENAME.length()), value);
            left.remove(name);
          }
        });
    Policies policies =
        new Policies(
            choice(left, "missing", Missing.FAIL, problems),
            choice(left, "shapes", Shapes.FAIL, problems),
            choice(left, "tied-head", TiedHead.FAIL, problems),
            choice(left, "vocabulary", Vocabularies.FAIL, problems),
            choice(left, "added-tokens", AddedTokens.FAIL, problems),
            choice(left, "non-finite", NonFinite.FAIL, problems),
            choice(left, "template", Template.FINE_TUNED, problems),
            renamed);
    left.keySet().forEach(name -> problems.add("there is no policy '" + name + "'"));
    TransferException.refuse(problems);
    return policies;
  }

  private static <E extends Enum<E>> E choice(
      Map<String, String> left, String name, E strict, List<String> problems) {
    String value = left.remove(name);
    if (value == null) {
      return strict;
    }
    for (E one : strict.getDeclaringClass().getEnumConstants()) {
      if (word(one).equals(value)) {
        return one;
      }
    }
    problems.add(
        "policy "
            + name
            + " is '"
            + value
            + "', but must be one of "
            + Stream.of(strict.getDeclaringClass().getEnumConstants())
                .map(Policies::word)
                .toList());
    return strict;
  }

  private static String word(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
