"""Recipes: YAML and overrides -> Document -> a task's Config, reporting all errors at once. No torch, no data.

document = read_document("hello", sets=["train.lr=0.05"])
config = validate(document, config_class(task_name(document, task_names())))
"""

from rnncli.recipe.check import config_of as config_of
from rnncli.recipe.check import task_name as task_name
from rnncli.recipe.check import validate as validate
from rnncli.recipe.document import Document as Document
from rnncli.recipe.document import Sets as Sets
from rnncli.recipe.document import document_of as document_of
from rnncli.recipe.document import read_document as read_document
from rnncli.recipe.edit import copied as copied
from rnncli.recipe.edit import edited as edited
from rnncli.recipe.hints import known_keys as known_keys
from rnncli.recipe.keys import keys as keys
from rnncli.recipe.marks import Clash as Clash
from rnncli.recipe.marks import Expected as Expected
from rnncli.recipe.remarks import renamed as renamed
from rnncli.recipe.remarks import without_effect as without_effect
from rnncli.recipe.schema import json_schema as json_schema
from rnncli.recipe.sections import CellName as CellName
from rnncli.recipe.sections import CoreSection as CoreSection
from rnncli.recipe.sections import DataPath as DataPath
from rnncli.recipe.sections import DataSection as DataSection
from rnncli.recipe.sections import RecipeConfig as RecipeConfig
from rnncli.recipe.sections import Seconds as Seconds
from rnncli.recipe.sections import Section as Section
from rnncli.recipe.sections import SplitSection as SplitSection
from rnncli.recipe.sections import TrainSection as TrainSection
from rnncli.recipe.show import plain as plain
from rnncli.recipe.show import print_config as print_config
from rnncli.recipe.show import resolved_yaml as resolved_yaml
from rnncli.starters import packaged_recipes as packaged_recipes
from rnncli.starters import recipe_folder as recipe_folder
