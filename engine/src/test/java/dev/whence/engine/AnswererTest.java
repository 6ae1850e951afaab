package dev.whence.engine;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.text.NativeTokenizer;
import dev.whence.engine.text.Tokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AnswererTest {
  @ParameterizedTest
  @ValueSource(strings = {"llama2", "metaspace", "llama3", "gpt2"})
  void whatWasGeneratedIsScoredByTheSameIds(String name) throws IOException {
    try (InputStream in =
            AnswererTest.class.getResourceAsStream("/fixtures/text/tokenizers/" + name + ".json");
        Tokenizer tokenizer = NativeTokenizer.of(new ObjectMapper().readTree(in), name)) {
      for (String before : List.of("Where is the cat?\n", "[user] Where is it?\n\n")) {
        int[] prompt = tokenizer.encode(before).ids();
        for (String said : List.of("The cat", " The cat", "12", "\nIt ran.", "日本", " ")) {
          int[] ids = tokenizer.encodeContinuation(before, said).ids();
          String text = Answerer.text(tokenizer, prompt, ids);
          assertThat(text).isEqualTo(said);
          assertThat(tokenizer.encodeContinuation(before, text).ids()).isEqualTo(ids);
        }
      }
    }
  }
}
