package dev.whence.engine.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** How often an expression may step back, against counts by hand. */
class ExpressionTest {
  private static final int N = 1_000_000;

  /** As they stand in the tokenizer.json of these models. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        // GPT-2, GPT-NeoX, OLMo
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        // Llama 3
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
            + " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        // Qwen2, Qwen2.5, Qwen3
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
            + " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        // o200k: gpt-oss, Phi-4
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
            + "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
            + "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}|"
            + " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        // Llama 4
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
            + "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\\p{N}{1,3}|"
            + " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        // DeepSeek-V3, and its digits and scripts of their own
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"
            + "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "\\p{N}{1,3}",
        "[一-龥\u3040-ゟ゠-ヿ]+",
        // DeepSeek-Coder
        "[\\r\\n]",
        "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓ]+",
        "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+",
        "\\s+$",
        // BLOOM
        " ?[^(\\s|[.,!?…。，、।۔،])]+",
        // Falcon
        "[0-9][0-9][0-9]",
        // CLIP, and its normalizer; T5's; digits from the right
        "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|"
            + "[^\\s\\p{L}\\p{N}]+",
        "\\s+",
        " {2,}",
        "(?=(\\d{3})+(?!\\d))",
        // cl100k with its possessive repetitions
        "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}+|"
            + " ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
        // Kimi
        "[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*"
            + "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
            + "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        // Laguna's first
        "(?:\\r?\\n)+(?!\\r?\\n)",
        // the small models of this repository
        " ?\\p{Ll}+|\\p{L}+|\\p{N}|[^\\s\\p{L}\\p{N}]|\\s"
      })
  void expressionsOfKnownTokenizersStayFarBelowTheLimit(String text) {
    Expression expression = Expression.parse(text);
    assertThat(expression.steps(N)).isLessThanOrEqualTo(5_000_100);
    assertThat(expression.mixes()).isFalse();
  }

  /** K-EXAONE's, which takes words and the spaces between them together. */
  @Test
  void anExpressionOverLettersAndSpacesStaysBelowTheLimitOnAWholeText() {
    Expression expression =
        Expression.parse(
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|"
                + "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+");
    assertThat(expression.steps(N)).isLessThanOrEqualTo(9_000_100);
    assertThat(expression.mixes()).isTrue();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "(?:\\r?\\n)+(?!\\r?\\n)b",
        "(?:\\r?\\n)+(?!\\r?\\n)?b",
        "(?:\\r?\\n)+(?!\\r\\n)",
        "(?<=(?:\\r?\\n)+(?!\\r?\\n))b",
        "(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+b",
        "(?:(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+)+",
        "(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)++",
        "(?:\\p{L}\\p{M}*(?: ?\\p{L}\\p{M}*)*)+",
        "(a+)+b",
        "(?:a*)*b",
        "(a|aa)+b",
        "(a|a)*[bc]",
        "(?:a{1,3})+b",
        "(?:a?){100}b",
        "(?i:a+)+b",
        "(?<name>a+){2,}",
        "(?=(a+)+b)",
        "(?!(a+)+b)c",
        "(?<=a+)b",
        "a*a*[bc]",
        "a+(?i)b|c*d",
        "(?:(?=a*b)a)*c",
        "(?:a*b?){2}c",
        "(a{1,1000}){1,1000}b",
        "(?:a{0000002,}){0000002,}b",
        "(?:a+){,9}b",
        "[[:alpha:]]*[[a-z]&&[^x]]*\\d"
      })
  void whatStepsBackWithoutAnEndIsKnown(String text) {
    assertThat(Expression.parse(text).steps(N)).isGreaterThan(10_000_000);
  }

  /** By hand, on n characters. */
  @ParameterizedTest
  @CsvSource(
      textBlock =
          """
          a,           1
          a+,          1
          a*b,         1000001
          'a*b|c*d',   2000002
          (?>a*)b,     2
          a*+b,        2
          a*?b,        1000001
          a{3}b,       2
          'a{2,4}b',   4
          (?:ab)*c,    1000002
          """)
  void stepsAreCounted(String text, double steps) {
    assertThat(Expression.parse(text).steps(N)).isEqualTo(steps);
  }

  /** Oniguruma reads them in ways that a bound would have to follow. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "(a)\\1",
        "\\k<a>",
        "(?<a>b\\g<a>)",
        "(?(1)a|b)",
        "(?~a)",
        "(?{a})",
        "(*FAIL)",
        "(?x)a #b",
        "(?x:a)",
        "(?#a)",
        "\\c[",
        "\\C-a",
        "\\M-a",
        "\\X",
        "\\Qa\\E",
        "[",
        "[]a]",
        "[^]a]",
        "(a",
        "a)",
        "*a",
        "a{3,1}",
        "a{200000}",
        "\\"
      })
  void whatNoKnownTokenizerHasIsRefused(String text) {
    assertThatThrownBy(() -> Expression.parse(text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("something that Whence does not read");
  }

  @Test
  void whatIsTooLongOrTooDeepIsRefused() {
    assertThatThrownBy(() -> Expression.parse("a".repeat(16_385)))
        .hasMessageContaining("more than 16384 characters");
    for (String deep : new String[] {"(".repeat(8000), "[".repeat(8000), "a" + "+?".repeat(8000)}) {
      assertThatThrownBy(() -> Expression.parse(deep)).isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void whatMayMatchNothingIsKnown() {
    assertThat(new String[] {"", "a*", "a?|b", "(?=a)", "(a{0,2})", "\\b", "(?>a*)"})
        .allMatch(text -> Expression.parse(text).matchesNothing());
    assertThat(new String[] {"a", "a+", "a|b+", "(?=a)b", "a*b", "(?>a)"})
        .noneMatch(text -> Expression.parse(text).matchesNothing());
  }

  @Test
  void aRepetitionOfSeveralKindsBeforeWhatMayFailIsKnown() {
    assertThat(new String[] {".*b", "[\\s\\S]*b", "[^a]+b", "(?=.*b)", "(?:.|a)*", "\\w*\\d"})
        .allMatch(text -> Expression.parse(text).mixes());
    assertThat(new String[] {".*", "[^a]+", "\\s*b", "[a-zA-Z]*\\d", "[\\r\\n\\t ]*b", "(?>.*)b"})
        .noneMatch(text -> Expression.parse(text).mixes());
  }
}
