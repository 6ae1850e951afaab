/**
 * How the sample models are made. {@link dev.whence.samples.recipes.Recipes} lists them and says
 * which goes on from which; a {@link dev.whence.samples.recipes.Recipe} is a model's {@link
 * dev.whence.samples.recipes.Architecture}, what it is trained on and for how long; {@link
 * dev.whence.samples.recipes.RecipeRun} carries it out, and goes on where a run was cut off.
 *
 * <p>The way of the data: {@link dev.whence.samples.recipes.Mixture} draws batches of the world's
 * texts, {@link dev.whence.samples.recipes.TokenWeights} says how much of each token's loss counts,
 * the engine's trainer takes the steps, {@link dev.whence.samples.recipes.Evaluation} asks what was
 * learnt. A base may begin with the values of {@link
 * dev.whence.samples.recipes.InductionInitialisation}. What training saw becomes corpus files for
 * influence by {@link dev.whence.samples.recipes.RecipeTexts}.
 *
 * <p>What a step sees depends on seed and step only, so a recipe gives the same model again.
 */
package dev.whence.samples.recipes;
