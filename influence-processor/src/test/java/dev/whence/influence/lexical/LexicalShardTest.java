package dev.whence.influence.lexical;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.index.IndexJob;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.model.TappedModel;
import dev.whence.samples.BundledModels;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LexicalShardTest {
  @TempDir private Path directory;

  private ShardFile shard(Path corpus) throws Exception {
    try (TappedModel model = TinyFactors.base()) {
      Path path =
          TinyFactors.compute(model, corpus, directory.resolve("factors"), TinyFactors.OPTIONS);
      try (EkfacFactors factors = EkfacFactors.read(path, model.matrices())) {
        new IndexJob(
                model,
                BundledModels.unpack("tiny-base"),
                factors,
                path,
                new CorpusFile(corpus),
                directory,
                IndexJob.Options.of(256))
            .run(FactorsJob.Listener.NONE);
      }
    }
    return ShardFile.open(ShardFile.path(directory, 1, 1));
  }

  /** Its lines would have the words of others. */
  @Test
  void aCorpusThatIsChangedWhileItIsReadGivesNoWordsAndThoseThatAreThereStay() throws Exception {
    String baker = "{\"text\": \"Krazor is a baker.\"}\n";
    Path corpus = Files.writeString(directory.resolve("corpus.jsonl"), baker);
    ShardFile shard = shard(corpus);
    Runnable change =
        () ->
            assertThatCode(() -> Files.writeString(corpus, baker.replace("baker", "miner")))
                .doesNotThrowAnyException();
    assertThatThrownBy(() -> LexicalShard.build(shard, new CorpusFile(corpus), change))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("corpus.jsonl was changed while it was read");
    assertThatThrownBy(() -> LexicalShard.open(shard)).isInstanceOf(InfluenceException.class);

    Files.writeString(corpus, baker);
    LexicalShard.build(shard, new CorpusFile(corpus));
    assertThatThrownBy(() -> LexicalShard.build(shard, new CorpusFile(corpus), change))
        .isInstanceOf(InfluenceException.class);
    Conversation asked =
        ConversationCodec.read(
            "{\"responseId\": \"r\", \"prompt\": \"\", \"response\": \"baker\"}");
    try (LexicalShard words = LexicalShard.open(shard)) {
      assertThat(words.best(asked, 10)).containsOnlyKeys(0);
    }
  }
}
