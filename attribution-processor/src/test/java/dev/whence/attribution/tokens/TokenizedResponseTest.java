package dev.whence.attribution.tokens;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.attribution.source.Partitioner;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.conversation.Span;
import dev.whence.engine.text.NativeTokenizer;
import dev.whence.engine.text.Tokenizer;
import java.io.IOException;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class TokenizedResponseTest {
  private static final Tokenizer TOKENIZER = new ToyTokenizer(ToyTokenizer.LLAMA3, 200);

  /** Log-probabilities that say which token they belong to: sums of distinct powers of two. */
  private static double[] powers(int length) {
    double[] powers = new double[length];
    for (int i = 0; i < length; i++) {
      powers[i] = Math.scalb(1.0, i);
    }
    return powers;
  }

  @Test
  void whiteSpaceOfAMillionTokensIsReadOnce() {
    Tokenizer bytes = new ToyTokenizer(ToyTokenizer.LLAMA3, 0);
    String response = "It." + "\n".repeat(1_000_000) + "No.";
    List<Span> statements = List.of(new Span(0, 3), new Span(1_000_003, 1_000_006));
    TokenizedResponse tokens =
        assertTimeoutPreemptively(
            Duration.ofSeconds(60),
            () -> TokenizedResponse.of(bytes, "", response, -1, statements));
    assertThat(tokens.tokensByStatement()).containsExactly(3, 1_000_003);
  }

  @Test
  void aResponseIsReadAsItStandsBehindItsPrompt() throws IOException {
    String pieces =
        "{'normalizer':{'type':'Prepend','prepend':'\u2581'},'model':{'type':'BPE',"
            + "'vocab':{'\u2581':0,'a':1,'\u2581a':2,'\\n':3},'merges':[['\u2581','a']]}}";
    try (Tokenizer tokenizer =
        NativeTokenizer.of(new ObjectMapper().readTree(pieces.replace('\'', '"')), "test")) {
      assertThat(TokenizedResponse.of(tokenizer, "a\n", "a", -1, List.of()).ids())
          .containsExactly(1);
      assertThat(TokenizedResponse.of(tokenizer, "a", "a", -1, List.of()).ids()).containsExactly(2);
    }
  }

  @Test
  void aTokenBelongsToTheStatementOfItsFirstVisibleCharacter() {
    String response = "It ran. It sat.";
    List<Span> statements = List.of(new Span(0, 8), new Span(8, 15));
    TokenizedResponse tokens = TokenizedResponse.of(TOKENIZER, "", response, -1, statements);
    double[] sums = tokens.byStatement(powers(tokens.length()));
    // " It" begins with a space of the first statement, but its first letter is of the second.
    int second = 0;
    for (int i = 0; i < tokens.length(); i++) {
      if (tokens.spans().get(i).end() > 8) {
        second = i;
        break;
      }
    }
    assertThat(tokens.spans().get(second)).isEqualTo(new Span(7, 10));
    assertThat(sums[0]).isEqualTo(Math.scalb(1.0, second) - 1);
    assertThat(sums[0] + sums[1]).isEqualTo(Math.scalb(1.0, tokens.length()) - 1);
  }

  @Test
  void theEndTokenBelongsToTheLastStatementAndStandsAtTheEnd() {
    int end = TOKENIZER.idOf("<|end|>");
    TokenizedResponse tokens =
        TokenizedResponse.of(TOKENIZER, "", "It ran.", end, List.of(new Span(0, 7)));
    assertThat(tokens.hasEndToken()).isTrue();
    assertThat(tokens.ids()[tokens.length() - 1]).isEqualTo(end);
    assertThat(tokens.spans().get(tokens.length() - 1)).isEqualTo(new Span(7, 7));
  }

  @Test
  void anEmptyResponseWithAnEndTokenIsOneStatement() {
    TokenizedResponse tokens =
        TokenizedResponse.of(TOKENIZER, "", "", TOKENIZER.idOf("<|end|>"), List.of());
    assertThat(tokens.length()).isEqualTo(1);
    assertThat(tokens.statements()).containsExactly(new Span(0, 0));
    assertThat(tokens.byStatement(new double[] {-2})).containsExactly(-2);
  }

  @Property(tries = 300)
  void everyTokenIsCountedOnce(@ForAll String response, @ForAll boolean stopped) {
    TokenizedResponse tokens =
        TokenizedResponse.of(
            TOKENIZER,
            "",
            response,
            stopped ? TOKENIZER.idOf("<|end|>") : -1,
            new Partitioner().sentences(response));
    double[] ones = new double[tokens.length()];
    Arrays.fill(ones, 1);
    assertThat(Arrays.stream(tokens.byStatement(ones)).sum()).isEqualTo(tokens.length());
  }
}
